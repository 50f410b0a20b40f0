"""TotalSegmentator's tasks as segmentation models, from the weights that its makers release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    Box,
    CancelToken,
    ModelCard,
    Progress,
    ProgressCallback,
    RefusedError,
    UsageError,
    Volume,
    no_progress,
)
from napari_volseg.inference.engine import Run
from napari_volseg.inference.failures import memory_told
from napari_volseg.inference.model import (
    BandCallback,
    Prediction,
    RunReport,
    Seconds,
    no_bands,
    require_3d,
)
from napari_volseg.inference.nnunet import NnunetModel, segment_of
from napari_volseg.inference.preprocessing import SharedImage
from napari_volseg.inference.runs import Stopwatch, peak_memory_bytes
from napari_volseg.inference.tasks import PREFIX, Part, Task, all_tasks, find_task, need_parts, weights_folder
from napari_volseg.spatial import crop_geometry

#: Its networks saw images whose index (z, y, x) runs so.
ORIENTATION = "SAR"
#: Around the labels that were asked for alone, mm: what a network sees of the surroundings decides on the borders.
SUBSET_MARGIN_MM = 20.0


class TotalSegmentatorModel:
    """A task of TotalSegmentator.

    Parameters
    ----------
    task
        The task, or its name.
    only
        Labels that are wanted; only the networks that know them run, on the part of the image around them where the
        coarse variant's weights are there to find it. All where empty.
    weights
        Folder of weights; that of TotalSegmentator where absent.

    Raises
    ------
    UsageError
        For a task or a label that does not exist.
    RefusedError
        Where weights are missing, with the command that gets them.
    """

    def __init__(self, task: Task | str, only: Sequence[str] = (), weights: Path | None = None) -> None:
        self.task = find_task(task) if isinstance(task, str) else task
        self._weights = weights or weights_folder()
        if unknown := sorted(set(only) - set(self.task.labels)):
            raise UsageError(
                f"{self.task.name} has no label {unknown[0]!r}: choose from {', '.join(self.task.labels)}"
            )
        self._wanted = frozenset(only or self.task.labels)
        need_parts(self.task, self._parts, self._weights)
        self._models = {part: _load(part, self._weights) for part in self._parts}

    @property
    def card(self) -> ModelCard:
        """What the task is, in the words of its network's card."""
        base, name = next(iter(self._models.values())).card, PREFIX + self.task.name
        title = f"TotalSegmentator: {self.task.title}"
        numbered = enumerate(self.task.labels, 1)
        return replace(
            base,
            id=name,
            title=title,
            task=f"labels {len(self.task.labels)} structures in {self.task.modality}",
            segments=tuple(segment_of(value, label, title) for value, label in numbered if label in self._wanted),
            channels=(self.task.modality,),
            orientation=ORIENTATION,
            code_license="",
            weights_license=self.task.weights_license,
            intended_use="Research. Not a medical device",
            postprocessing=(),  # those of the network would be in its own label values
        )

    def predict(
        self,
        volume: Volume,
        *,
        further: Sequence[Volume] = (),
        device: str = "auto",
        backend: str = "auto",
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        bands: BandCallback = no_bands,
        look_at: Box | None = None,
        skip_air: bool = False,
    ) -> Prediction:
        """Label a volume; see `SegmentationModel.predict`. Bands are told where one network sees the whole image."""
        require_3d(volume)
        run = Run(device, backend, progress, cancel or CancelToken(), bands, look_at, skip_air, SharedImage())
        with memory_told(device):
            return self._label(volume, run)

    def _label(self, volume: Volume, run: Run) -> Prediction:
        watch, reports = Stopwatch(), []
        labels, whole = np.zeros(volume.geometry.shape, np.uint8), Box.whole(volume.geometry.shape)
        box = self._box(volume, run)
        seen = _cut(volume, box) if box.size and box != whole else volume
        tells = run.bands if len(self._models) == 1 and box == whole else no_bands
        for number, (part, model) in enumerate(self._models.items() if box.size else ()):
            told = _of_several(run.progress, number, len(self._models))
            found = model.predict(
                seen,
                device=run.device,
                backend=run.backend,
                progress=told,
                cancel=run.cancel,
                bands=tells,
                look_at=None if tells is no_bands else run.look_at,
                skip_air=run.skip_air,
                shared=run.shared,
            )
            reports.append(found.report)
            self._paint(labels[box.slices], found.labels, part)
        return Prediction(labels, self.card.segments, _joined(self.card.id, reports, watch))

    @property
    def _parts(self) -> tuple[Part, ...]:
        return tuple(part for part in self.task.parts if self._wanted & set(part.labels))

    def _paint(self, target: NDArray[np.uint8], found: NDArray[np.integer], part: Part) -> None:
        """Write what a network found as the task's values, over what is there; helper classes are left out."""
        lookup = np.zeros(max(int(found.max(initial=0)), len(part.labels)) + 1, np.uint8)
        for value, label in enumerate(part.labels, 1):
            if label in self._wanted:
                lookup[value] = self.task.labels.index(label) + 1
        for plane, seen in zip(target, found, strict=True):  # no copy of the whole
            values = lookup[seen]
            np.copyto(plane, values, where=values > 0)

    def _box(self, volume: Volume, run: Run) -> Box:
        """Return the part of the volume (z, y, x) that networks are to see, empty where what they look for is not."""
        whole, task = Box.whole(volume.geometry.shape), self.task
        names, margin, coarse = task.crop, task.margin_mm, task.coarse
        if not task.crop and self._wanted != set(task.labels):
            names, margin, coarse = tuple(self._wanted), SUBSET_MARGIN_MM, f"{task.name}-fastest"
        if not names or not _is_there(coarse, self._weights):
            return whole
        run.progress(Progress(0, 0, "looking where to segment"))
        finder = TotalSegmentatorModel(coarse, names, self._weights)
        coarsely = finder.predict(volume, device=run.device, backend=run.backend, cancel=run.cancel)
        found = Box.of_mask(coarsely.labels > 0)
        if found is None:
            return Box((0, 0, 0), (0, 0, 0))
        reach = [int(np.ceil(margin / step)) for step in volume.geometry.spacing]
        low = [a - r for a, r in zip(found.start, reach, strict=True)]
        return Box.of(low, [b + r for b, r in zip(found.stop, reach, strict=True)]).clip(whole.shape)


def installed_tasks(weights: Path | None = None) -> tuple[str, ...]:
    """Return the names, with prefix, of the tasks whose weights are there."""
    folder = weights or weights_folder()
    return tuple(PREFIX + name for name in all_tasks() if _is_there(name, folder))


def open_task(name: str, weights: Path | None = None) -> TotalSegmentatorModel:
    """Return the model of a name such as ``totalsegmentator:total-fast``, or ``totalsegmentator:total/liver,spleen``.

    Errors as in `TotalSegmentatorModel`.
    """
    task, _, only = name.removeprefix(PREFIX).partition("/")
    return TotalSegmentatorModel(task, tuple(filter(None, only.split(","))), weights)


def _is_there(name: str, weights: Path) -> bool:
    return name in all_tasks() and not all_tasks()[name].missing(weights)


def _load(part: Part, weights: Path) -> NnunetModel:
    folder = part.find(weights)
    assert folder is not None
    facts = {"orientation": ORIENTATION, "configuration": folder.name.rpartition("__")[2]}
    model = NnunetModel(folder, facts=facts)
    outputs = len(model.plan.outputs.segments)
    if outputs < len(part.labels):
        raise RefusedError(
            f"the network in {folder} knows {outputs} labels where {len(part.labels)} are expected: "
            "remove the folder and fetch its weights again",
            "model.labels",
        )
    return model


def _cut(volume: Volume, box: Box) -> Volume:
    return replace(volume, voxels=volume.voxels[box.slices], geometry=crop_geometry(volume.geometry, box))


def _of_several(progress: ProgressCallback, number: int, count: int) -> ProgressCallback:
    """Return a callback for one of several networks, of which each counts alike."""

    def tell(now: Progress) -> None:
        words = f"network {number + 1} of {count}: {now.message}" if count > 1 else now.message
        left = now.seconds_left if count == 1 else None  # of this network alone
        progress(Progress(number * now.total + now.done, count * now.total, words, left))

    return tell


def _joined(model: str, reports: Sequence[RunReport], watch: Stopwatch) -> RunReport:
    seconds = watch.seconds()
    spent = [sum(getattr(r.seconds, phase) for r in reports) for phase in ("network", "before", "after")]
    first = reports[0] if reports else None
    return RunReport(
        model,
        first.device if first else "",
        first.backend if first else "",
        sum(report.windows for report in reports),
        Seconds(seconds.total, *spent),
        peak_memory_bytes(),
        first.straightening if first else None,
        sum(report.skipped for report in reports),
    )
