"""Measure a click-to-segment engine with simulated clicks on any image with labels.

::

    python -m napari_volseg.training.evaluate_clicks IMAGE LABELS --json OUT
        [--engine E] [--segments 1,2] [--clicks N] [--limit N] [--baselines] [--prompts] [--plot SVG]

Each label is segmented from nothing: the simulated user clicks where the result is most wrong
(:mod:`napari_volseg.interactive.simulate`), the engine answers, and the Dice coefficient is noted after every click.
What is measured, and how, stands in docs/click.md.
Exit codes: 0 done, 2 usage, 3 refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from napari_volseg.core import Geometry, RefusedError, UsageError, Volume
from napari_volseg.interactive import InteractiveModel, load_engine, next_click
from napari_volseg.interactive.click_weights import ClickWeights
from napari_volseg.interactive.network import NetworkModel
from napari_volseg.spatial import apply_reorientation, display_reorientation, reorient_geometry
from napari_volseg.training.click_baselines import BASELINES, load_baseline
from napari_volseg.training.click_report import report, table, write_plot
from napari_volseg.training.click_runs import ClickRun, run_clicks
from napari_volseg.training.click_users import beginning_with, sloppy_click

#: How many sloppy users there are.
SLOPPY_USERS = 3
#: An image with values below this is taken for a CT in HU where nothing else is said.
_CT_MINIMUM = -500

Labels = NDArray[np.int64]


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


def segment_names(labels: Path) -> dict[int, str]:
    """Return names by label value from the sidecar ``<name>.segments.json``, empty where there is none."""
    stem = labels.name.removesuffix(".gz").removesuffix(".nii")
    sidecar = labels.with_name(f"{stem}.segments.json")
    if not sidecar.is_file():
        return {}
    content: Mapping[str, Any] = json.loads(sidecar.read_text(encoding="utf-8"))
    return {int(s["value"]): str(s["name"]) for s in content.get("segments", [])}


@dataclass(frozen=True, slots=True)
class Setting:
    """Who is measured, and with which user.

    Parameters
    ----------
    engine
        Name of the engine or baseline, or a folder with weights of the click network.
    first
        The first prompt: ``"click"``, ``"box"`` or ``"scribble"``.
    sloppy
        Whether the user is sloppy; then there are three of them.
    """

    engine: str = "default"
    first: str = "click"
    sloppy: bool = False

    @property
    def title(self) -> str:
        """A name for tables."""
        return f"{self.engine}, {self.first}" + (", sloppy user" if self.sloppy else "")

    def load(self) -> InteractiveModel:
        """Return the engine or the baseline."""
        if Path(self.engine).is_dir():
            return NetworkModel(ClickWeights.of(Path(self.engine)))
        return load_baseline(self.engine) if self.engine in BASELINES else load_engine(self.engine)

    def runs(self, volume: Volume, reference: NDArray[np.bool_], clicks: int, **about: Any) -> list[ClickRun]:
        """Segment one structure, by each of the users in turn; ``about`` goes to :func:`run_clicks`."""
        user = beginning_with(self.first, sloppy_click if self.sloppy else next_click)
        model = self.load()
        seeds = range(SLOPPY_USERS if self.sloppy else 1)
        return [run_clicks(model, volume, reference, clicks, seed, user=user, **about) for seed in seeds]


def settings(engine: str, baselines: bool = False, prompts: bool = False) -> list[Setting]:
    """Return what to measure: the engine first, with its other prompts and users or the baselines where asked for."""
    chosen = [Setting(engine)]
    if prompts:
        chosen += [Setting(engine, "box"), Setting(engine, "scribble"), Setting(engine, sloppy=True)]
    if baselines:
        chosen += [Setting(name) for name in BASELINES]
    return chosen


def evaluate(
    image: Path,
    labels: Path,
    engine: str = "default",
    segments: Sequence[int] = (),
    clicks: int = 10,
    modality: str = "auto",
    tell: Callable[[str], None] = lambda _: None,
    limit: int = 20,
    baselines: bool = False,
    prompts: bool = False,
) -> dict[str, Any]:
    """Return the report for an image and its labels; see the module's text.

    Parameters
    ----------
    image, labels
        NIfTI files on one grid.
    engine
        Name of the click engine or baseline, or a folder with weights of the click network.
    segments
        Label values to segment; all where empty.
    clicks
        Clicks per label.
    modality
        ``"CT"`` (values are HU), ``"MR"``, ``"PT"``, or ``"auto"``.
    tell
        Is given a line per finished label.
    limit
        Go on up to so many clicks where a Dice coefficient of 0.9 is not reached.
    baselines, prompts
        What else to measure, for the report's ``others``; see :func:`settings`.
    """
    volume, values = read_case(image, labels, modality)
    names = segment_names(labels)
    chosen = {v: names.get(v, f"Label {v}") for v in _chosen(values, segments)}
    first, *others = measured(
        settings(engine, baselines, prompts), volume, values, chosen, clicks, limit, tell
    ).items()
    return {**first[1], "others": dict(others)}


def measured(
    wanted: Sequence[Setting],
    volume: Volume,
    values: Labels,
    names: Mapping[int, str],
    clicks: int,
    limit: int,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Return a report for each setting by its title, over the labels that ``names`` names.

    A baseline whose package is absent is left out, and told.
    """
    reports: dict[str, dict[str, Any]] = {}
    for setting in wanted:
        try:
            name = setting.load().card.id
        except UsageError as problem:
            if setting.engine not in BASELINES or setting is wanted[0]:
                raise
            tell(f"skipped: {problem}")
            continue
        title = replace(setting, engine=name).title
        tell(title)
        runs = []
        for value, label in names.items():
            found = setting.runs(volume, values == value, clicks, value=value, name=label, limit=limit)
            tell(f"{value:4d} {label:24s} " + " ".join(f"{found[0].after(n + 1):.2f}" for n in range(clicks)))
            runs += found
        reports[title] = report(name, runs, clicks)
    return reports


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
            options.limit,
            options.baselines,
            options.prompts,
        )
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        reports = {f"{figures['engine']}, click": figures, **figures["others"]}
        if options.plot:
            write_plot(options.plot, reports)
    except UsageError as problem:
        print(problem, file=sys.stderr)
        return 2
    except RefusedError as problem:
        print(problem, file=sys.stderr)
        return 3
    except OSError as problem:
        print(f"{problem.filename} can't be written ({problem.strerror}): choose another file", file=sys.stderr)
        return 3
    print(table(reports))
    print("macro " + " ".join(f"{click}:{score:.3f}" for click, score in figures["macro"]["dsc"].items()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m napari_volseg.training.evaluate_clicks",
        description="Measure a click-to-segment engine with simulated clicks.",
    )
    parser.add_argument("image", type=Path, help="NIfTI image")
    parser.add_argument("labels", type=Path, help="NIfTI labels on the same grid")
    parser.add_argument(
        "--engine",
        default="default",
        help="name of the click engine or baseline, or a folder that train_clicks wrote",
    )
    parser.add_argument("--segments", type=_values, default=(), help="label values, such as 1,2 (default: all)")
    parser.add_argument("--clicks", type=_positive, default=10, help="clicks per label (default: 10)")
    parser.add_argument("--limit", type=_positive, default=20, help="clicks until Dice is .90 at most (default: 20)")
    parser.add_argument("--modality", choices=("auto", "CT", "MR", "PT"), default="auto")
    parser.add_argument("--baselines", action="store_true", help=f"also measure {', '.join(BASELINES)}")
    parser.add_argument("--prompts", action="store_true", help="also begin with a box or a stroke, and be sloppy")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    parser.add_argument("--plot", type=Path, help="where a plot goes, as SVG")
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


if __name__ == "__main__":
    sys.exit(main())
