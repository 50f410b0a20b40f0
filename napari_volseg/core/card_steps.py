"""What a card asks to be done to a model's labels after it has run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class KeepLargest:
    """Erase all but the largest island.

    Parameters
    ----------
    values
        Label values that are judged as one shape.
    """

    values: tuple[int, ...]

    def __post_init__(self) -> None:
        _require_values(self.values)

    def words(self, names: Mapping[int, str]) -> str:
        """Return what it does, in the names of the labels."""
        return f"keep the largest island of {_listed(self.values, names)}"


@dataclass(frozen=True, slots=True)
class RemoveSmall:
    """Erase islands below a volume.

    Parameters
    ----------
    values
        Label values that are judged as one shape.
    mm3
        Islands of less are erased, mm³.
    """

    values: tuple[int, ...]
    mm3: float

    def __post_init__(self) -> None:
        _require_values(self.values)
        if not (isfinite(self.mm3) and self.mm3 > 0):
            raise ValueError(f"islands smaller than {self.mm3} mm³")

    def words(self, names: Mapping[int, str]) -> str:
        """Return what it does, in the names of the labels."""
        return f"remove islands of {_listed(self.values, names)} below {self.mm3:g} mm³"


@dataclass(frozen=True, slots=True)
class CheckSides:
    """Give islands of a paired structure that lie on the other side to the label of that side.

    Parameters
    ----------
    left, right
        Label values of what lies to the patient's left and right.
    """

    left: int
    right: int

    def __post_init__(self) -> None:
        _require_values((self.left, self.right))

    @property
    def values(self) -> tuple[int, ...]:
        """Label values that it looks at."""
        return self.left, self.right

    def words(self, names: Mapping[int, str]) -> str:
        """Return what it does, in the names of the labels."""
        return f"check the sides of {_listed(self.values, names)}"


CardStep = KeepLargest | RemoveSmall | CheckSides

#: Names in a sentence before it says how many more there are.
_NAMED = 3


def _listed(values: tuple[int, ...], names: Mapping[int, str]) -> str:
    words = [names.get(value, f"label {value}") for value in values]
    if len(words) > _NAMED:
        return f"{', '.join(words[: _NAMED - 1])} and {len(words) - _NAMED + 1} more"
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _require_values(values: tuple[int, ...]) -> None:
    if not values or len(set(values)) < len(values) or min(values) < 1:
        raise ValueError(f"a step over the labels {values}, which are not different ones from 1 on")
