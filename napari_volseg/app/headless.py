"""Whole jobs without a window, for the command line and for machines that have no display."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_volseg.app import exporting, segmenting
from napari_volseg.app.case import Case
from napari_volseg.app.channels import NO_CHANNELS, by_name, on_one_grid
from napari_volseg.app.picture import save_picture
from napari_volseg.app.postprocessing import Correction, corrected, corrections
from napari_volseg.core import (
    NEVER,
    Answers,
    CancelToken,
    DecisionNeededError,
    Finding,
    ProgressCallback,
    RefusedError,
    Segmentation,
    SegmentTable,
    UsageError,
    Volume,
    no_progress,
)
from napari_volseg.formats import import_report, open_volume
from napari_volseg.formats.publishing import Draft, publish, require_no_source
from napari_volseg.inference import RunReport, SegmentationModel, load_model
from napari_volseg.inference.network_files import Trust

#: How labels are saved, by the ending of the file's name.
LABEL_ENDINGS = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".seg.nrrd": "seg-nrrd",
    ".mha": "metaimage",
    ".mhd": "metaimage",
    ".rtstruct.dcm": "rtstruct",
    ".dcm": "dicom-seg",
    ".stl": "surfaces",
    ".ply": "surfaces",
    ".obj": "surfaces",
}


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """A volume with what a model made of it.

    Parameters
    ----------
    volume
        What was opened.
    segmentation
        The labels on the volume's grid.
    report
        How the model ran.
    corrections
        What was done to the labels afterwards, as the model's card asks.
    told
        What is to be told of the images of its channels.
    """

    volume: Volume
    segmentation: Segmentation
    report: RunReport
    corrections: tuple[Correction, ...] = ()
    told: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the user should know of the run."""
        return (
            *self.told,
            *self.report.findings,
            *(finding for step in self.corrections for finding in step.findings),
        )


def segment_path(
    path: Path,
    model: str,
    *,
    volume_id: str | None = None,
    orientation: str | None = None,
    form: str | None = None,
    answers: Answers | None = None,
    time: int | None = None,
    device: str = "auto",
    backend: str = "auto",
    further: Sequence[Path] = (),
    channels: Mapping[str, Path] = NO_CHANNELS,
    trusted: Trust = False,
    postprocess: bool = True,
    skip_air: bool = False,
    targets: Sequence[Path] = (),
    room: Path | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Segmented:
    """Open a file or folder and segment it with a model, given by name or folder.

    ``orientation`` and ``form`` are for NIfTI that doesn't say clearly how it lies, ``answers`` for DICOM; ``time``
    is the position (from 0) along the time axis of a 4D image; ``targets`` are the files that will be written: what
    stands in their way is found before the model runs; ``room`` is where zip archives are unpacked;
    ``further`` are files of the model's further channels in their order, or ``channels`` files of all but one by
    name, in which case the image itself is the one left; ``trusted`` says which programs among models may run;
    ``skip_air`` leaves out windows outside of the body;
    ``postprocess`` says whether what the model's card asks to be done afterwards is done.

    Raises
    ------
    DecisionNeededError
        Where one of these is needed and not given, and where there are several volumes and no id.
    """
    opened = open_volume(
        path, volume_id, progress, cancel, orientation=orientation, form=form, answers=answers, room=room
    )
    volume = at_time(opened, time)
    for target in targets:
        _require_room_for(target, volume)
    segmenting.require_grey(volume)
    loaded = load_model(model, trusted=trusted)
    paths = by_name(loaded.card.channels, channels) if channels else [None, *further]
    images = [volume if p is None else open_volume(p, None, progress, cancel, room=room) for p in paths]
    told: list[Finding] = []
    if channels:
        images, told = on_one_grid(images, volume, loaded.card.channels)
    done = segment_volume(
        volume,
        loaded,
        images=images,
        device=device,
        backend=backend,
        postprocess=postprocess,
        skip_air=skip_air,
        progress=progress,
        cancel=cancel or CancelToken(),
    )
    return replace(done, told=tuple(told))


def segment_volume(
    volume: Volume,
    model: SegmentationModel,
    *,
    images: Sequence[Volume] = (),
    device: str = "auto",
    backend: str = "auto",
    postprocess: bool = True,
    skip_air: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken = NEVER,
) -> Segmented:
    """Segment a volume that is open with a model that is loaded; see `segment_path`.

    ``images`` are those of all channels in the card's order, the volume among them; none for models of one channel.
    """
    segmenting.require_grey(volume)
    first, *further = images or [volume]
    prediction = model.predict(
        first,
        further=further,
        device=device,
        backend=backend,
        progress=progress,
        cancel=cancel,
        skip_air=skip_air,
    )
    card = model.card
    steps = corrections(card, prediction, volume.geometry, cancel) if postprocess else ()
    table = SegmentTable(tuple(segmenting.made_by(card, segment) for segment in prediction.segments))
    labels = Segmentation(corrected(prediction.labels, steps), volume.geometry, table)
    return Segmented(volume, labels, prediction.report, steps)


def _require_room_for(target: Path, volume: Volume) -> None:
    """Raise RefusedError where a file can't be written for want of its folder, or would replace a source file."""
    require_no_source(target, volume)
    if target.is_dir() or not target.parent.is_dir():
        raise RefusedError(
            f"{target} can't be written ({target.parent} is no folder, or {target.name} is one): "
            "choose a file in a folder that exists",
            "export.not_written",
        )


def at_time(volume: Volume, time: int | None) -> Volume:
    """Return the 3D volume at a position (from 0) of a 4D one; a 3D volume is itself.

    Raises
    ------
    DecisionNeededError
        For a 4D volume where no position is given.
    UsageError
        For a position that there isn't.
    """
    if volume.time is None:
        return volume
    axis = volume.time
    positions = {str(n): f"{axis.name} {value:g} {axis.unit}".strip() for n, value in enumerate(axis.values)}
    cure = f"choose one from 0 to {len(positions) - 1}"
    if time is None:
        raise DecisionNeededError(
            f"{volume.name} holds {len(positions)} volumes along {axis.name}: {cure}", positions, "time"
        )
    if str(time) not in positions:
        raise UsageError(f"{volume.name} has no volume {time} along {axis.name}: {cure}")
    where = f"{positions[str(time)]} of {len(positions)} volumes"
    return _noted(volume.at_time(time), Finding("decided.time", f"{where} was taken, as time = {time} says", "note"))


def _noted(volume: Volume, finding: Finding) -> Volume:
    source = volume.origin_provenance
    return replace(volume, provenance=replace(source, findings=(*source.findings, finding)))


def label_export(path: Path) -> exporting.ExportKind:
    """Return the export that a file's ending names, one of ``LABEL_ENDINGS``."""
    for ending, kind in LABEL_ENDINGS.items():
        if path.name.lower().endswith(ending):
            return exporting.EXPORTS[kind]
    raise UsageError(f'"{path.name}" does not say a format: end it in {", ".join(LABEL_ENDINGS)}')


def save_labels(path: Path, segmented: Segmented) -> Path:
    """Write labels in the format that the ending names, read back and compared."""
    kind = label_export(path)
    kind.refuse(segmented.volume, segmented.segmentation)
    return kind.write(path, segmented.segmentation, segmented.volume, ())


def save_run_report(path: Path, done: Segmented) -> Path:
    """Write how a model ran, and on what image, as JSON."""
    return save_facts(path, run_facts(done))


def save_facts(path: Path, facts: Mapping[str, Any]) -> Path:
    """Write plain values as JSON, read back and compared."""
    text = json.dumps(facts, indent=2) + "\n"

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    def verify(written: Path) -> None:
        if written.read_text(encoding="utf-8") != text:
            raise RefusedError(f"{path} did not read back as it was written: save to another disk", "report.differs")

    publish([Draft(path, write, verify)])
    return path


def run_facts(done: Segmented) -> dict[str, Any]:
    """Return how a model ran, and on what image, in plain values."""
    steps = [step.as_dict() for step in done.corrections]
    return {**done.report.as_dict(), "postprocessing": steps, "import": import_report(done.volume).as_dict()}


def whole_job(source: Path, model: str, out: Path, progress: ProgressCallback = no_progress) -> list[Path]:
    """Open, segment and export a case into a folder, and return the files that were written.

    The folder then holds labels as NIfTI and, from a DICOM source, DICOM-SEG; a report with volumes in mL; and
    a picture of three planes.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = segment_path(source, model, progress=progress)
    volume, labels = done.volume, done.segmentation
    kinds = {
        "nifti": "labels.nii.gz",
        "dicom-seg": "labels.dcm",
        "report-csv": "report.csv",
        "report-json": "report.json",
    }
    written = [
        exporting.export(kind, out / name, labels, volume)
        for kind, name in kinds.items()
        if exporting.EXPORTS[kind].why_not(volume, labels) is None
    ]
    window = Case(volume).first_window()
    return [
        *written,
        save_run_report(out / "run.json", done),
        save_picture(out / "planes.png", volume, labels, window),
    ]
