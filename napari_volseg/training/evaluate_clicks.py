"""Measure a click-to-segment engine with simulated clicks on any image with labels.

::

    python -m napari_volseg.training.evaluate_clicks IMAGE LABELS --json OUT
        [--engine E] [--segments 1,2] [--clicks N]

Each label is segmented from nothing: the simulated user clicks where the result is most wrong
(:mod:`napari_volseg.interactive.simulate`), the engine answers, and the Dice coefficient is noted after every click.
Exit codes: 0 done, 2 usage, 3 refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from napari_volseg.core import Geometry, PointPrompt, RefusedError, UsageError, Volume
from napari_volseg.interactive import InteractiveModel, load_engine, next_click, prompt_voxels
from napari_volseg.measure import dice
from napari_volseg.spatial import apply_reorientation, display_reorientation, reorient_geometry

#: A click that lowers the Dice coefficient by more than this did harm.
HARM = 0.02
#: An image with values below this is taken for a CT in HU where nothing else is said.
_CT_MINIMUM = -500

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClickRun:
    """What happened when one label was segmented.

    Parameters
    ----------
    value, name
        The label.
    voxels
        Size of the reference.
    dsc
        Dice coefficient after each click.
    seconds
        What the engine took for each click that was made; fewer than ``dsc`` where the result became perfect.
    honoured
        Share of prompts that the results obeyed.
    """

    value: int
    name: str
    voxels: int
    dsc: tuple[float, ...]
    seconds: tuple[float, ...]
    honoured: float

    @property
    def harmful(self) -> int:
        """Number of clicks that lowered the Dice coefficient by more than :data:`HARM`."""
        return int((np.diff(self.dsc) < -HARM).sum())

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "voxels": self.voxels,
            "dsc": _by_click(self.dsc),
            "seconds": [round(s, 4) for s in self.seconds],
            "harmful": self.harmful,
            "honoured": self.honoured,
        }


def read_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Return the voxels (z, y, x) of a 3D NIfTI image and their grid, turned to the display grid.

    Raises
    ------
    RefusedError
        For a file that is missing, unreadable or not 3D.
    """
    try:
        image: Any = nib.load(path)
        voxels = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ImageFileError, ValueError) as problem:
        raise RefusedError(
            f"{path} can't be read as NIfTI ({str(problem).splitlines()[0]}): pass a complete .nii or .nii.gz file",
            "nifti.unreadable",
        ) from problem
    if voxels.ndim != 3:
        raise RefusedError(f"{path} has shape {voxels.shape}: clicks need a 3D image", "nifti.not_3d")
    geometry = Geometry.from_ras_ijk(image.affine, voxels.shape)
    turn = display_reorientation(geometry)
    return apply_reorientation(voxels.T, turn), reorient_geometry(geometry, turn)


def read_case(image: Path, labels: Path, modality: str = "auto") -> tuple[Volume, Labels]:
    """Return an image and its labels (z, y, x) on the display grid.

    Raises
    ------
    RefusedError
        Where a file can't be used or the two are not on the same grid.
    """
    voxels, geometry = read_nifti(image)
    values, labels_geometry = read_nifti(labels)
    if not geometry.same_grid(labels_geometry, 1e-2):
        raise RefusedError(
            f"the labels {labels} (shape {labels_geometry.shape}) do not lie on the grid of {image} "
            f"(shape {geometry.shape}): pass the labels that belong to this image",
            "labels.mismatch",
        )
    if modality == "auto":
        modality = "CT" if float(voxels.min()) < _CT_MINIMUM else "OT"
    quantity = "HU" if modality == "CT" else "arbitrary"
    volume = Volume(voxels, geometry, modality, quantity, name=image.name)
    return volume, np.round(values).astype(np.int64)


def run_clicks(
    model: InteractiveModel,
    volume: Volume,
    reference: NDArray[np.bool_],
    clicks: int,
    seed: int = 0,
    value: int = 1,
    name: str = "",
) -> ClickRun:
    """Segment one structure with simulated clicks.

    Parameters
    ----------
    model
        The engine.
    volume
        The image.
    reference
        Boolean (z, y, x), true where the structure is; not empty.
    clicks
        Most clicks that are made.
    seed
        Of the simulated user.
    value, name
        The label, for the report.
    """
    random = np.random.default_rng(seed)
    session = model.open(volume)
    mask = np.zeros(reference.shape, bool)
    scores: list[float] = []
    seconds: list[float] = []
    honoured: list[bool] = []
    while len(scores) < clicks:
        click = next_click(mask, reference, volume.geometry, random)
        if click is not None:
            start = time.perf_counter()
            session.add(click)
            result = session.result()
            seconds.append(time.perf_counter() - start)
            mask = result.expand(reference.shape)
            honoured += [
                _is_honoured(p, mask, volume.geometry) for p in session.prompts if isinstance(p, PointPrompt)
            ]
        scores.append(dice(mask, reference))
    share = float(np.mean(honoured)) if honoured else 1.0
    return ClickRun(value, name, int(reference.sum()), tuple(scores), tuple(seconds), share)


def report(engine: str, runs: Sequence[ClickRun], clicks: int) -> dict[str, Any]:
    """Return the figures of all runs as plain values for JSON; ``macro`` weighs each segment alike."""
    seconds = [s for run in runs for s in run.seconds]
    return {
        "engine": engine,
        "clicks": clicks,
        "segments": {str(run.value): run.as_dict() for run in runs},
        "macro": {"dsc": _by_click(np.mean([run.dsc for run in runs], axis=0).tolist())},
        "harmful": {
            "count": sum(run.harmful for run in runs),
            "share": sum(run.harmful for run in runs) / max(1, len(runs) * (clicks - 1)),
        },
        "honoured": float(np.mean([run.honoured for run in runs])),
        "latency": {"p50": float(np.percentile(seconds, 50)), "p95": float(np.percentile(seconds, 95))},
    }


def segment_names(labels: Path) -> dict[int, str]:
    """Return names by label value from the sidecar ``<name>.segments.json``, empty where there is none."""
    stem = labels.name.removesuffix(".gz").removesuffix(".nii")
    sidecar = labels.with_name(f"{stem}.segments.json")
    if not sidecar.is_file():
        return {}
    content: Mapping[str, Any] = json.loads(sidecar.read_text(encoding="utf-8"))
    return {int(s["value"]): str(s["name"]) for s in content.get("segments", [])}


def evaluate(
    image: Path,
    labels: Path,
    engine: str = "default",
    segments: Sequence[int] = (),
    clicks: int = 10,
    modality: str = "auto",
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the report for an image and its labels; see the module's text.

    Parameters
    ----------
    image, labels
        NIfTI files on one grid.
    engine
        Name of the click engine.
    segments
        Label values to segment; all where empty.
    clicks
        Clicks per label.
    modality
        ``"CT"`` (values are HU), ``"MR"``, ``"PT"``, or ``"auto"``.
    tell
        Is given a line per finished label.
    """
    model = load_engine(engine)
    volume, values = read_case(image, labels, modality)
    names = segment_names(labels)
    runs = []
    for value in _chosen(values, segments):
        run = run_clicks(model, volume, values == value, clicks, value=value, name=names.get(value, f"Label {value}"))
        tell(f"{run.value:4d} {run.name:24s} " + " ".join(f"{d:.2f}" for d in run.dsc))
        runs.append(run)
    return report(model.card.id, runs, clicks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        figures = evaluate(
            options.image,
            options.labels,
            options.engine,
            options.segments,
            options.clicks,
            options.modality,
            lambda line: print(line, flush=True),
        )
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except UsageError as problem:
        print(problem, file=sys.stderr)
        return 2
    except RefusedError as problem:
        print(problem, file=sys.stderr)
        return 3
    except OSError as problem:
        print(f"{options.json} can't be written ({problem.strerror}): choose another file", file=sys.stderr)
        return 3
    print("macro " + " ".join(f"{click}:{score:.3f}" for click, score in figures["macro"]["dsc"].items()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m napari_volseg.training.evaluate_clicks",
        description="Measure a click-to-segment engine with simulated clicks.",
    )
    parser.add_argument("image", type=Path, help="NIfTI image")
    parser.add_argument("labels", type=Path, help="NIfTI labels on the same grid")
    parser.add_argument("--engine", default="default", help="name of the click engine")
    parser.add_argument("--segments", type=_values, default=(), help="label values, such as 1,2 (default: all)")
    parser.add_argument("--clicks", type=_positive, default=10, help="clicks per label (default: 10)")
    parser.add_argument("--modality", choices=("auto", "CT", "MR", "PT"), default="auto")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    return parser


def _values(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _chosen(values: Labels, wanted: Sequence[int]) -> list[int]:
    present = [int(v) for v in np.unique(values) if v != 0]
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise UsageError(f"the labels hold no segment {missing[0]}: choose from {', '.join(map(str, present))}")
    if not present:
        raise RefusedError("the labels are empty: pass labels that hold at least one segment", "labels.empty")
    return list(wanted) or present


def _is_honoured(prompt: PointPrompt, mask: NDArray[np.bool_], geometry: Geometry) -> bool:
    return bool((mask[tuple(prompt_voxels(prompt, geometry).T)] == prompt.positive).all())


def _by_click(scores: Sequence[float]) -> dict[str, float]:
    return {str(click): round(float(score), 4) for click, score in enumerate(scores, 1)}


if __name__ == "__main__":
    sys.exit(main())
