"""What the channels of a network's output mean: exclusive labels, or regions that overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_volseg.inference.refusals import plan_refused

#: More labels than fit the label types.
_MOST_LABELS = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Exclusive:
    """Each voxel belongs to the channel with the largest logit, the first of equals.

    Parameters
    ----------
    names
        By channel; the first is the background, label 0.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 < len(self.names) <= _MOST_LABELS:
            raise ValueError(
                f"{len(self.names)} labels where a background and 1 to {_MOST_LABELS} others are possible"
            )

    @property
    def values(self) -> tuple[int, ...]:
        """Label value by channel."""
        return tuple(range(len(self.names)))

    @property
    def segments(self) -> dict[int, str]:
        """Names by label value, without the background."""
        return dict(zip(self.values[1:], self.names[1:], strict=True))


@dataclass(frozen=True, slots=True)
class Regions:
    """Each channel says by a positive logit that a voxel is in its region; later channels paint over earlier ones.

    Parameters
    ----------
    names
        Of the regions, by channel.
    values
        What a region paints, by channel.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.values or not all(0 < value <= _MOST_LABELS for value in self.values):
            raise ValueError(f"regions with the values {self.values}: they are possible from 1 to {_MOST_LABELS}")

    @property
    def segments(self) -> dict[int, str]:
        """Names by label value: a segment is what its region leaves to none that is painted after it."""
        return dict(zip(self.values, self.names, strict=True))


OutputRule = Exclusive | Regions


def parse_outputs(dataset: Mapping[str, Any]) -> OutputRule:
    """Return what dataset.json says of the network's output; an ignore label has no channel.

    Raises
    ------
    RefusedError
        Where label values are not 0, 1, 2, … or an order of regions is missing.
    """
    labels = {name: value for name, value in dataset["labels"].items() if name != "ignore"}
    if any(isinstance(value, list) and len(value) > 1 for value in labels.values()):
        return _regions(labels, dataset.get("regions_class_order"))
    return _exclusive({name: _only(value) for name, value in labels.items()})


def _exclusive(labels: Mapping[str, int]) -> Exclusive:
    by_value = {value: name for name, value in labels.items()}
    if sorted(by_value) != list(range(len(by_value))) or len(by_value) != len(labels) or len(by_value) > _MOST_LABELS:
        raise plan_refused(
            f"the label values {sorted(by_value)} of dataset.json are not 0, 1, 2, …: "
            "use the file that nnU-Net was trained with",
            "labels",
        )
    return Exclusive(tuple(by_value[value] for value in sorted(by_value)))


def _regions(labels: Mapping[str, Any], order: Any) -> Regions:
    names = [name for name, value in labels.items() if any(_numbers(value))]
    values = [int(value) for value in order or ()]
    fits = len(values) == len(names) == len(set(values)) and all(0 < value <= _MOST_LABELS for value in values)
    if not fits:
        raise plan_refused(
            f"dataset.json names the regions {', '.join(names)}, but its regions_class_order is {order}: "
            "use the file that nnU-Net was trained with",
            "regions",
        )
    return Regions(tuple(names), tuple(values))


def _numbers(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, list) else [int(value)]


def _only(value: Any) -> int:
    (number,) = _numbers(value)
    return number
