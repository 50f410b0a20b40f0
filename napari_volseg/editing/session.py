"""The only writer of label voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_volseg.core import (
    Box,
    BoxMask,
    GeometryError,
    Measurement,
    Prompt,
    Segmentation,
    SegmentTable,
    UsageError,
)
from napari_volseg.editing.delta import (
    NO_BOX,
    Author,
    Delta,
    Description,
    Journal,
    MeasurementChange,
    Step,
    TableChange,
    make_delta,
)
from napari_volseg.editing.history import DEFAULT_BYTE_BUDGET, History
from napari_volseg.editing.rules import AllOf, Everywhere, Inside, OverwriteRule, differing, either_in, paintable
from napari_volseg.editing.stroke import Stroke, StrokeHost

EVERYWHERE = Everywhere()
HAND = Author("hand", "user")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A change that is worked out, compressed and not yet made.

    Parameters
    ----------
    delta
        The step it will be.
    after
        Labels of the delta's box, so that making it costs one copy.
    revision
        The session's revision that it was planned on.
    """

    delta: Delta
    after: NDArray[Any]
    revision: int


class EditSession:
    """Applies, records and announces every change of one segmentation.

    All methods but the ``plan_…`` ones belong to one thread, the one on which the signals are to arrive. An open
    stroke never stands in the way: another change first turns what was painted so far into a step of its own.

    Parameters
    ----------
    segmentation
        What is edited, in place.
    journal
        Told of every step and move; None keeps them in memory alone.
    byte_budget
        Compressed bytes that the history may take.
    history
        Steps that led to ``segmentation``, after a recovery.
    prompts, measurements
        The prompts and measurements in effect, after a recovery.

    Attributes
    ----------
    changed
        Emitted with the box (z, y, x) of voxels that were written.
    table_changed
        Emitted with the new segment table.
    prompts_changed
        Emitted with the tuple of prompts in effect.
    measurements_changed
        Emitted with the tuple of measurements in effect.
    history_changed
        Emitted when a step was made, undone or redone.
    """

    changed = Signal(Box)
    table_changed = Signal(SegmentTable)
    prompts_changed = Signal(tuple)
    measurements_changed = Signal(tuple)
    history_changed = Signal()

    def __init__(
        self,
        segmentation: Segmentation,
        journal: Journal | None = None,
        byte_budget: int = DEFAULT_BYTE_BUDGET,
        *,
        history: History | None = None,
        prompts: tuple[Prompt, ...] = (),
        measurements: tuple[Measurement, ...] = (),
    ) -> None:
        self._segmentation = segmentation
        self._journal = journal
        self._history = history or History(byte_budget=byte_budget)
        self._prompts = prompts
        self._measurements = measurements
        self._stroke: Stroke | None = None
        self._revision = 0

    @property
    def segmentation(self) -> Segmentation:
        """Labels, table and grid; read, never written, by everybody else."""
        return self._segmentation

    @property
    def history(self) -> History:
        """A snapshot of what was done."""
        return self._history

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts in effect at this position of the history."""
        return self._prompts

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The measurements in effect at this position of the history."""
        return self._measurements

    @property
    def revision(self) -> int:
        """A number that every write to voxels or table raises."""
        return self._revision

    def apply(
        self,
        patch: BoxMask,
        value: int,
        *,
        rule: OverwriteRule = EVERYWHERE,
        erase: int | None = None,
        **description: Unpack[Description],
    ) -> Delta | None:
        """Give the voxels of a patch one label value; return the step, None where nothing changed.

        Parameters
        ----------
        patch
            Voxels asked for; what lies outside the volume is left out.
        value
            Label value of an unlocked segment of the table, or 0 to erase.
        rule
            Which voxels may be overwritten; locked segments never are.
        erase
            When erasing: the one label value that may be erased, None for any.
        **description
            ``name``, ``author`` and optionally ``parameters`` and ``prompts``.

        Raises
        ------
        UsageError
            For a value that no segment has, that is locked, or that the label array can't hold.
        """
        self._settle_stroke()
        return self._commit_or_none(self.plan_apply(patch, value, rule=rule, erase=erase, **description))

    def plan_apply(
        self,
        patch: BoxMask,
        value: int,
        *,
        rule: OverwriteRule = EVERYWHERE,
        erase: int | None = None,
        **description: Unpack[Description],
    ) -> Plan | None:
        """Work out ``apply`` without making the change; a worker thread may do so."""
        self._refuse_value(value)
        revision = self._revision
        hit = paintable(self._labels, patch, value, _with_erase(rule, value, erase), self._locked)
        if hit is None:
            return self._plan_without_voxels(description, revision, value)
        before = self._labels[hit.box.slices].copy()
        after = before.copy()
        after[hit.mask] = value
        return Plan(make_delta(description, hit.box, before, after, value), after, revision)

    def replace(
        self, box: Box, labels: NDArray[Any], *, table: SegmentTable | None = None, **description: Unpack[Description]
    ) -> Delta | None:
        """Give a box new labels and, with it, a new table; return the step, None where nothing changed.

        Locked segments neither lose nor gain voxels.

        Parameters
        ----------
        box
            Where, within the volume.
        labels
            Label values of the box's shape; each new one must be 0 or in the table.
        table
            The table from then on; None keeps the present one.
        **description
            ``name``, ``author`` and optionally ``parameters`` and ``prompts``.

        Raises
        ------
        GeometryError
            Where ``labels`` does not fill the box or the box leaves the volume.
        UsageError
            For a value that no segment has or that the label array can't hold.
        """
        self._settle_stroke()
        return self._commit_or_none(self.plan_replace(box, labels, table=table, **description))

    def plan_replace(
        self, box: Box, labels: NDArray[Any], *, table: SegmentTable | None = None, **description: Unpack[Description]
    ) -> Plan | None:
        """Work out ``replace`` without making the change; a worker thread may do so."""
        revision, current = self._revision, self._segmentation.table
        _refuse_misfit(box, labels, self._labels.shape)
        change = None if table is None or table == current else _table_change(current, table)
        tight = differing(self._labels, box, labels, current.locked_values)
        if tight is None:
            return self._plan_without_voxels(description, revision, None, change)
        before = self._labels[tight.slices].copy()
        wanted = labels[tight.relative_to(box).slices]
        _refuse_unknown(wanted, table or current, self._labels.dtype)
        after = np.where(either_in(current.locked_values, before, wanted), before, wanted).astype(before.dtype)
        return Plan(make_delta(description, tight, before, after, None, change), after, revision)

    def commit(self, plan: Plan) -> Delta:
        """Make a planned change and return its step.

        Raises
        ------
        UsageError
            Where labels or table changed since it was planned.
        """
        if plan.revision != self._revision:
            raise UsageError(f'"{plan.delta.name}" was worked out for labels that have changed since: run it again')
        self._settle_stroke()
        self._labels[plan.delta.box.slices] = plan.after
        self._in_effect(plan.delta, undone=False)
        self._record(plan.delta)
        return plan.delta

    def edit_table(self, table: SegmentTable, *, name: str = "Edit segments", author: Author = HAND) -> Delta | None:
        """Make ``table`` the segment table, as an undoable step; None where it is the present one.

        Segments that it no longer holds lose their voxels in the same step; locked ones can't be removed.
        """
        removed = [value for value in self._segmentation.table.values if value not in table]
        box, labels = _without(self._labels, removed)
        return self.replace(box, labels, table=table, name=name, author=author)

    def note(self, **description: Unpack[Description]) -> Delta:
        """Keep a step that changes nothing, such as a judgement of what is there; see ``apply``."""
        self._settle_stroke()
        nothing = self._labels[NO_BOX.slices]
        return self.commit(Plan(make_delta(description, NO_BOX, nothing, nothing, None), nothing, self._revision))

    def measure(
        self, measurements: tuple[Measurement, ...], *, name: str = "Measure", author: Author = HAND
    ) -> Delta | None:
        """Make these the measurements of the case, as an undoable step; None where they are the present ones."""
        self._settle_stroke()
        if measurements == self._measurements:
            return None
        nothing = self._labels[NO_BOX.slices]
        delta = make_delta({"name": name, "author": author}, NO_BOX, nothing, nothing, None)
        delta = replace(delta, measurements=MeasurementChange(self._measurements, measurements))
        return self.commit(Plan(delta, nothing, self._revision))

    def stroke(
        self,
        value: int,
        *,
        rule: OverwriteRule = EVERYWHERE,
        erase: int | None = None,
        **description: Unpack[Description],
    ) -> Stroke:
        """Begin a stroke that paints one label value (0 erases); parameters as in ``apply``.

        Its dabs are visible at once; it becomes one step when it is finished.
        """
        self._refuse_value(value)
        self._settle_stroke()
        host = StrokeHost(
            partial(self._paintable, value, _with_erase(rule, value, erase)),
            self._announce_written,
            self._record,
            self._release_stroke,
        )
        self._stroke = Stroke(self._labels, value, description, host)
        return self._stroke

    def undo(self) -> Step | None:
        """Take the last step in effect back and return it; None where there is none."""
        self._settle_stroke()
        step = self._history.current
        if step is not None:
            self._move(self._history.position - 1)
        return step

    def redo(self) -> Step | None:
        """Make the next undone step again and return it; None where there is none."""
        self._settle_stroke()
        step = self._history.next
        if step is not None:
            self._move(self._history.position + 1)
        return step

    def go_to(self, position: int) -> None:
        """Undo or redo until ``position`` steps of the history are in effect."""
        self._settle_stroke()
        if position != self._history.position:
            self._move(position)

    @property
    def _labels(self) -> NDArray[Any]:
        return self._segmentation.labels

    @property
    def _locked(self) -> tuple[int, ...]:
        return self._segmentation.table.locked_values

    def _paintable(self, value: int, rule: OverwriteRule, patch: BoxMask) -> BoxMask | None:
        return paintable(self._labels, patch, value, rule, self._locked)

    def _refuse_value(self, value: int) -> None:
        if value == 0:
            return
        segment = self._segmentation.table[value]
        _refuse_too_large(value, self._labels.dtype)
        if segment.locked:
            raise UsageError(f'segment "{segment.name}" is locked: unlock it or choose another segment')

    def _plan_without_voxels(
        self, description: Description, revision: int, value: int | None, table: TableChange | None = None
    ) -> Plan | None:
        """Return a plan that changes table or prompts alone, None where it would change nothing at all."""
        prompts = description.get("prompts")
        if table is None and (prompts is None or prompts.before == prompts.after):
            return None
        nothing = self._labels[NO_BOX.slices]
        return Plan(make_delta(description, NO_BOX, nothing, nothing, value, table), nothing, revision)

    def _commit_or_none(self, plan: Plan | None) -> Delta | None:
        return None if plan is None else self.commit(plan)

    def _settle_stroke(self) -> None:
        if self._stroke is not None:
            self._stroke.settle()

    def _release_stroke(self) -> None:
        self._stroke = None

    def _record(self, delta: Delta) -> None:
        self._history = self._history.with_step(delta)
        if self._journal is not None:
            self._journal.record(delta)
        self.history_changed.emit()

    def _move(self, position: int) -> None:
        """Undo or redo up to a position; tell the journal before anyone who listens."""
        target, here = self._history.at(position), self._history.position
        undone = position < here
        steps = self._history.steps[position:here][::-1] if undone else self._history.steps[here:position]
        self._history = target
        if self._journal is not None:
            self._journal.moved(target.total_position)
        for step in steps:
            step.revert_on(self._labels) if undone else step.apply_to(self._labels)
            self._in_effect(step, undone=undone)
        self.history_changed.emit()

    def _in_effect(self, delta: Delta, *, undone: bool) -> None:
        """Follow a step whose voxels are already written: table, prompts and announcements."""
        if delta.table is not None:
            self._segmentation.table = delta.table.before if undone else delta.table.after
        if delta.prompts is not None:
            self._prompts = delta.prompts.before if undone else delta.prompts.after
        if delta.measurements is not None:
            self._measurements = delta.measurements.before if undone else delta.measurements.after
        self._announce_written(delta.box)
        if delta.table is not None:
            self.table_changed.emit(self._segmentation.table)
        if delta.prompts is not None:
            self.prompts_changed.emit(self._prompts)
        if delta.measurements is not None:
            self.measurements_changed.emit(self._measurements)

    def _announce_written(self, box: Box) -> None:
        self._revision += 1
        if box.size:
            self.changed.emit(box)


def _with_erase(rule: OverwriteRule, value: int, erase: int | None) -> OverwriteRule:
    if erase is None:
        return rule
    if value != 0:
        raise UsageError(f"erasing label {erase} while painting label {value} is contradictory: paint 0 to erase")
    return AllOf((rule, Inside(erase)))


def _table_change(before: SegmentTable, after: SegmentTable) -> TableChange:
    for value in before.locked_values:
        if value not in after:
            raise UsageError(f'segment "{before[value].name}" is locked: unlock it before you remove it')
    return TableChange(before, after)


def _without(labels: NDArray[Any], values: list[int]) -> tuple[Box, NDArray[Any]]:
    """Return the tight box of voxels that carry one of the values, and its labels with those voxels erased."""
    if not values:
        return NO_BOX, labels[NO_BOX.slices]
    hit = BoxMask.of(np.logical_or.reduce([labels == value for value in values]))
    return hit.box, np.where(hit.mask, 0, labels[hit.box.slices])


def _refuse_too_large(value: int, dtype: np.dtype[Any]) -> None:
    if value > np.iinfo(dtype).max:
        raise UsageError(
            f"label value {value} does not fit labels of type {dtype}, which end at {np.iinfo(dtype).max}: "
            "use a smaller value or labels of a larger type"
        )


def _refuse_misfit(box: Box, labels: NDArray[Any], shape: tuple[int, ...]) -> None:
    if box.clip(shape) != box:
        raise GeometryError(f"a box from {box.start} to {box.stop} leaves labels of shape {shape}: clip it first")
    if labels.shape != box.shape:
        raise GeometryError(f"labels of shape {labels.shape} do not fill a box of shape {box.shape}")


def _refuse_unknown(labels: NDArray[Any], table: SegmentTable, dtype: np.dtype[Any]) -> None:
    """Refuse label values that no segment of the table has or that ``dtype`` can't hold."""
    for value in np.unique(labels).tolist():
        if value != 0:
            _refuse_too_large(table[value].value, dtype)
