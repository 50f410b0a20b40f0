"""What model files say should be done to labels afterwards; `app.postprocessing` does it.

nnU-Net v2 writes what it found to help in ``postprocessing.json`` and, once more, in a pickle, which is never read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_volseg.core import CardStep, CheckSides, KeepLargest, RemoveSmall
from napari_volseg.inference.folders import read_json
from napari_volseg.inference.refusals import MISSTATED, plan_refused

NNUNET_FILE = "postprocessing.json"
_NNUNET_STEP = "remove_all_but_largest_component_from_segmentation"

#: More steps than any model needs.
_MOST_STEPS = 1000


def card_steps(facts: Mapping[str, Any], segments: Mapping[int, str]) -> tuple[CardStep, ...]:
    """Return the steps under ``postprocessing`` of a card.

    Each is ``{"step": "keep_largest" | "remove_small" | "check_sides", …}``: the first two take ``labels``, names
    (all where absent) that are judged one by one, or as one shape where ``together`` is true; ``remove_small`` takes
    ``mm3``; ``check_sides`` takes ``left`` and ``right``, a name each.

    Parameters
    ----------
    facts
        Content of card.json.
    segments
        Names of the model's labels by value, as its files spell them.

    Raises
    ------
    KeyError, TypeError, ValueError
        Where a step lacks or misstates something.
    """
    values = {name: value for value, name in segments.items()}
    return _bounded(step for entry in facts.get("postprocessing", ()) for step in _of_card(entry, values))


def _of_card(entry: Mapping[str, Any], values: Mapping[str, int]) -> Iterator[CardStep]:
    kind = entry["step"]
    if kind == "check_sides":
        yield CheckSides(values[entry["left"]], values[entry["right"]])
        return
    named = tuple(values[name] for name in entry.get("labels", values))
    for group in (named,) if entry.get("together") else tuple((value,) for value in named):
        match kind:
            case "keep_largest":
                yield KeepLargest(group)
            case "remove_small":
                yield RemoveSmall(group, float(entry["mm3"]))
            case _:
                raise ValueError(f"the step {kind!r}, where keep_largest, remove_small and check_sides are known")


def nnunet_steps(folder: Path, folds: Sequence[str], segments: Mapping[int, str]) -> tuple[CardStep, ...]:
    """Return the steps that nnU-Net's own file asks for, which lies in the folder or beside its cross-validation.

    Parameters
    ----------
    folder
        Of the trained model.
    folds
        Numbers of the folds that are averaged.
    segments
        Names of the model's labels by value.

    Raises
    ------
    RefusedError
        For a step that is unknown, and where the file is not what nnU-Net writes.
    """
    places = (folder, folder / f"crossval_results_folds_{'_'.join(folds)}")
    found = next((place / NNUNET_FILE for place in places if (place / NNUNET_FILE).is_file()), None)
    if found is None:
        return ()
    facts = read_json(found)
    try:
        called = zip(facts["postprocessing_fns"], facts["postprocessing_kwargs"], strict=True)
        steps = _bounded(_of_nnunet(name, arguments, found) for name, arguments in called)
        require_known(steps, segments)
    except MISSTATED as problem:
        raise plan_refused(
            f"{found} is not what nnU-Net writes ({problem}): copy it again, or move it out of the model", "plans"
        ) from problem
    return steps


def require_known(steps: Iterable[CardStep], segments: Mapping[int, str]) -> None:
    """Raise ValueError for steps over labels that a model does not have."""
    if unknown := {value for step in steps for value in step.values} - set(segments):
        raise ValueError(f"a postprocessing of label {min(unknown)}, which the model does not have")


def _of_nnunet(name: str, arguments: Mapping[str, Any], found: Path) -> CardStep:
    if name != _NNUNET_STEP or arguments.get("background_label", 0) != 0:
        raise plan_refused(f"{found} asks for {name!r}, which is unknown: move the file out of the model", "plans")
    regions = arguments["labels_or_regions"]
    listed = regions if isinstance(regions, list) else [regions]
    values = [int(v) for region in listed for v in (region if isinstance(region, list) else [region])]
    return KeepLargest(tuple(dict.fromkeys(values)))


def bundle_steps(transforms: Sequence[Mapping[str, Any]], values: Sequence[int]) -> tuple[CardStep, ...]:
    """Return the steps of MONAI's transforms that keep the largest island.

    Parameters
    ----------
    transforms
        Arguments of ``KeepLargestConnectedComponentd``, those of each in plain values.
    values
        Label values of the model.

    Raises
    ------
    RefusedError
        For arguments under which it does something else.
    """
    return _bounded(step for arguments in transforms for step in _of_bundle(arguments, values))


def _of_bundle(arguments: Mapping[str, Any], values: Sequence[int]) -> Iterator[CardStep]:
    if arguments.get("num_components", 1) != 1 or arguments.get("connectivity") not in (None, 3):
        raise plan_refused(
            f"KeepLargestConnectedComponentd with {arguments} is not supported: use one component, full connectivity",
            "bundle",
        )
    applied = arguments.get("applied_labels")
    listed = list(values) if applied is None else applied if isinstance(applied, list) else [applied]
    named = tuple(int(value) for value in listed if int(value) > 0)
    if arguments.get("independent", True):
        yield from (KeepLargest((value,)) for value in named)
    else:
        yield KeepLargest(named)


def _bounded(steps: Iterator[CardStep]) -> tuple[CardStep, ...]:
    kept = []
    for step in steps:
        kept.append(step)
        if len(kept) > _MOST_STEPS:
            raise ValueError(f"more than {_MOST_STEPS} steps of postprocessing")
    return tuple(kept)
