"""The open case: one volume, its editable segmentation, and the segment that tools act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from scipy import ndimage

from napari_volseg.app.terms import term_of
from napari_volseg.app.wishes import RuleName, ToolWishes
from napari_volseg.core import (
    ANATOMICAL_STRUCTURE,
    CT_WINDOWS,
    TISSUE,
    Box,
    BoxMask,
    Measurement,
    Prompt,
    Segment,
    Segmentation,
    SegmentTable,
    UsageError,
    Volume,
    Window,
    auto_window,
)
from napari_volseg.editing import (
    AllOf,
    BackgroundOnly,
    EditSession,
    Everywhere,
    History,
    Inside,
    InVolume,
    Journal,
    OnSlice,
    OverwriteRule,
    Scope,
    WithinRange,
    slab_about,
)
from napari_volseg.measure import Histogram, histogram_of

#: Label arrays hold up to 65535 segments in two bytes, which graphics cards take without conversion.
LABEL_TYPE = np.uint16
#: It is told where a click takes this share of another segment.
TOLD_SHARE = 0.05

#: Voxels that are looked at to find the range of their values.
SAMPLED = 1_000_000


class Case:
    """A volume that is being segmented.

    Parameters
    ----------
    volume
        What was opened, on its display grid; of a 4D one the first time point is segmented.
    segmentation
        Labels to go on with; empty ones are made where absent.
    journal
        Where finished steps are written.
    history, prompts, measurements
        Steps that led to the labels, and prompts and measurements in effect, where work goes on.
    """

    active_changed = Signal(int)

    def __init__(
        self,
        volume: Volume,
        segmentation: Segmentation | None = None,
        journal: Journal | None = None,
        *,
        history: History | None = None,
        prompts: tuple[Prompt, ...] = (),
        measurements: tuple[Measurement, ...] = (),
    ) -> None:
        self.volume = volume.at_time(0)
        labels = segmentation or Segmentation(np.zeros(volume.geometry.shape, LABEL_TYPE), volume.geometry)
        self.session = EditSession(labels, journal, history=history, prompts=prompts, measurements=measurements)
        self._chosen = list(self.table.values[:1])

    def is_of(self, volume: Volume) -> bool:
        """Whether a volume is this one, read once more from the same place; reads all voxels where it may be."""
        own, other = self.volume, volume.at_time(0)
        places = [(v.origin_provenance.format, v.origin_provenance.paths, v.name, v.modality) for v in (own, other)]
        if places[0] != places[1] or own.voxels.dtype != other.voxels.dtype:
            return False
        same_grid = own.geometry.shape == other.geometry.shape and np.array_equal(
            own.geometry.matrix, other.geometry.matrix
        )
        return same_grid and all(map(np.array_equal, own.voxels, other.voxels))

    @property
    def segmentation(self) -> Segmentation:
        """The labels and their table."""
        return self.session.segmentation

    @property
    def table(self) -> SegmentTable:
        """The segments."""
        return self.segmentation.table

    @property
    def active(self) -> int:
        """Label value that tools act on, the last chosen of the segments that exist; 0 where there is none."""
        return next((value for value in reversed(self._chosen) if value in self.table), 0)

    @active.setter
    def active(self, value: int) -> None:
        if value and value not in self.table:
            raise UsageError(f"there is no segment with label {value}: choose one of {self.table.values}")
        if value != self.active:
            self._chosen = [*(v for v in self._chosen if v != value), value] if value else []
            self.active_changed.emit(value)

    def ensure_active(self) -> Segment:
        """Return the active segment, made first where there is none; refuse where it is locked."""
        if not self.active:
            self.add_segment()
        segment = self.table[self.active]
        if segment.locked:
            raise UsageError(f'segment "{segment.name}" is locked: unlock it or choose another segment')
        return segment

    def add_segment(self, name: str = "") -> Segment:
        """Append a segment, as an undoable step, and make it active."""
        segment = self.table.new_segment(name)
        self.session.edit_table(self.table.with_segment(segment), name=f"Add {segment.name}")
        self.active = segment.value
        return segment

    def edit_segment(self, value: int, **fields: Any) -> None:
        """Change some fields of a segment (name, colour, lock, visibility), as an undoable step."""
        self.session.edit_table(self.table.edited(value, **fields), name=f"Edit {self.table[value].name}")

    def name_segment(self, value: int, name: str) -> None:
        """Name a segment, as an undoable step; a standard name brings its codes with it, and takes them along."""
        term, before = term_of(name), term_of(self.table[value].name)
        if term is not None:
            self.edit_segment(value, name=term.name, category=term.category, type=term.type)
        elif before is not None and before.type == self.table[value].type:
            self.edit_segment(value, name=name, category=ANATOMICAL_STRUCTURE, type=TISSUE)
        else:
            self.edit_segment(value, name=name)

    def show_alone(self, value: int) -> None:
        """Show one segment and hide all others, as an undoable step; where it is alone, show all again."""
        alone = [s.value for s in self.table if s.visible] == [value]
        table = SegmentTable(tuple(replace(s, visible=alone or s.value == value) for s in self.table))
        name = "Show all segments" if alone else f"Show {self.table[value].name} alone"
        self.session.edit_table(table, name=name)

    def middle_of(self, value: int) -> tuple[int, int, int] | None:
        """Return the voxel (z, y, x) of a segment that lies deepest in its largest axial slice, else None."""
        mask = self.mask_of(value)
        if not mask.box.size:
            return None
        number = int(np.argmax(mask.mask.sum((1, 2))))
        _, dy, dx = self.volume.geometry.spacing
        deep = ndimage.distance_transform_edt(np.pad(mask.mask[number], 1), (dy, dx))
        row, column = np.unravel_index(int(np.argmax(deep)), deep.shape)
        z, y, x = mask.box.start
        return z + number, y + int(row) - 1, x + int(column) - 1

    def remove_segment(self, value: int) -> None:
        """Remove a segment and its voxels, as one undoable step."""
        self.session.edit_table(self.table.without(value), name=f"Remove {self.table[value].name}")

    def rule(self, wishes: ToolWishes, under: int = 0) -> OverwriteRule:
        """Return what the user's wishes allow painting to overwrite, where ``under`` is what it starts on."""
        rules: dict[RuleName, OverwriteRule] = {
            "everywhere": Everywhere(),
            "background": BackgroundOnly(),
            "inside": Inside(under),
        }
        return AllOf((rules[wishes.rule], self.range_rule(wishes)))

    def scope(self, wishes: ToolWishes, on: OnSlice) -> Scope:
        """Return the slices on which tools of the hand act, where they are used on one of them."""
        match wishes.hand_reach:
            case "slice":
                return on
            case "slab":
                return slab_about(self.volume.geometry, on, wishes.hand_slab_mm)
            case "volume":
                return InVolume()

    def range_rule(self, wishes: ToolWishes) -> OverwriteRule:
        """Return what the wished range of values allows to change."""
        if not wishes.limit_to_range:
            return Everywhere()
        return WithinRange(wishes.range_low, wishes.range_high, self.volume.voxels)

    def label_at(self, index: NDArray[np.float64] | Sequence[int]) -> int:
        """Return the label value at a voxel position (z, y, x), fractional; 0 outside the volume."""
        z, y, x = (int(i) for i in np.round(index))
        return int(self.segmentation.labels[z, y, x]) if self.volume.geometry.contains(index) else 0

    def mask_of(self, value: int) -> BoxMask:
        """Return where the labels hold ``value``, cut to its tight box."""
        return BoxMask.of(self.segmentation.labels == value)

    def protected(self, rule: OverwriteRule) -> np.ndarray | None:
        """Return voxels that a new mask of the active segment may not take, None where it may take all."""
        labels = self.segmentation.labels
        values = set(self.table.locked_values) - {self.active}
        if isinstance(rule, BackgroundOnly) or (isinstance(rule, AllOf) and BackgroundOnly() in rule.rules):
            values = set(self.table.values) - {self.active}
        return np.isin(labels, list(values)) if values else None

    def windows(self) -> dict[str, Window]:
        """Return the windows on offer by id: presets for CT, the file's own, and an automatic one."""
        return windows_of(self.volume, self._auto_window)

    def first_window(self) -> Window:
        """Return the window to open with: soft tissue for CT, else the automatic one."""
        return opening_window(self.volume, self._auto_window)

    def survey(self) -> Case:
        """Look through the voxels now, which takes a moment and need not be done again; return itself."""
        _ = self._auto_window, self.values, self.histogram
        return self

    @cached_property
    def histogram(self) -> Histogram:
        """How often values occur in a sample of the image's voxels."""
        return histogram_of(sample_of(self.volume.voxels))

    @cached_property
    def values(self) -> tuple[float, float]:
        """Lowest and highest value of the image, from a sample of its voxels."""
        return values_between(self.volume.voxels)

    @cached_property
    def _auto_window(self) -> Window:
        return auto_window(self.volume.voxels)


def windows_of(volume: Volume, auto: Window) -> dict[str, Window]:
    """Return the windows on offer for an image by id: presets for CT, the file's own, and the automatic one."""
    offered = dict(CT_WINDOWS) if volume.modality == "CT" else {}
    for number, (center, width, name) in enumerate(volume.origin_provenance.details.get("windows", ())):
        offered[f"file-{number}"] = Window(center, width, name or "From file")
    return {**offered, "auto": auto}


def opening_window(volume: Volume, auto: Window) -> Window:
    """Return the window to open an image with: soft tissue for CT, else the automatic one."""
    return CT_WINDOWS["soft-tissue"] if volume.modality == "CT" else auto


def sample_of(voxels: NDArray[Any]) -> NDArray[Any]:
    """Return about ``SAMPLED`` voxels at a regular step, or all where there are fewer, as one row."""
    return voxels.reshape(-1)[:: max(1, voxels.size // SAMPLED)]


def values_between(voxels: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and highest finite value of a sample of voxels; infinity to minus infinity where none is."""
    sample = sample_of(voxels)
    finite = sample[np.isfinite(sample)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.inf, -np.inf)


def assisted(table: SegmentTable, value: int, name: str) -> SegmentTable:
    """Return a table in which a segment that was made by hand is known as made with the help of ``name``."""
    segment = table[value]
    if segment.algorithm_type != "MANUAL":
        return table
    return table.with_segment(replace(segment, algorithm_type="SEMIAUTOMATIC", algorithm_name=name))


def losses(case: Case, box: Box, after: np.ndarray, value: int) -> str:
    """Return in words what other segments lose to one where a box gets labels ``after``; empty for little."""
    labels = case.segmentation.labels
    before = labels[box.slices]
    taken = np.bincount(before[(after == value) & (before != value)], minlength=1)
    millilitres = float(np.prod(case.volume.geometry.spacing)) / 1000
    lost = []
    for other in np.flatnonzero(taken[1:]) + 1:
        if taken[other] >= TOLD_SHARE * np.count_nonzero(labels == other):
            volume = taken[other] * millilitres
            size = f"{volume:.2g}" if volume < 1 else f"{volume:.1f}"
            size = f"{size} mL" if case.volume.is_calibrated else f"{taken[other]} voxels"
            lost.append(f"{size} from {case.table[int(other)].name}")
    return " and ".join(lost)


def replace_segment(case: Case, value: int, mask: BoxMask) -> tuple[Box, np.ndarray]:
    """Return the box and the labels in it after segment ``value`` became exactly ``mask``."""
    old = case.mask_of(value)
    box = old.box.union(mask.box) if old.box.size and mask.box.size else (mask.box if mask.box.size else old.box)
    labels = case.segmentation.labels[box.slices].copy()
    labels[labels == value] = 0
    labels[mask.within(box)] = value
    return box, labels
