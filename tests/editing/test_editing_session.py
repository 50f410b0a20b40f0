from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import (
    Box,
    BoxMask,
    Geometry,
    GeometryError,
    PointPrompt,
    Segment,
    Segmentation,
    SegmentTable,
    UsageError,
)
from napari_volseg.editing import (
    AllOf,
    Author,
    BackgroundOnly,
    EditSession,
    Everywhere,
    Inside,
    PromptChange,
    WithinRange,
)

SHAPE = (6, 20, 30)
HAND = Author("hand", "test")
TABLE = SegmentTable((Segment(1, "Liver"), Segment(2, "Spleen"), Segment(3, "Bone", locked=True)))


def session(dtype: type = np.uint16, **options: int) -> EditSession:
    labels = np.zeros(SHAPE, dtype)
    labels[2, 4:8, 4:8] = 2
    labels[2, 10:14, 4:8] = 3
    return EditSession(Segmentation(labels, Geometry.from_spacing(SHAPE), TABLE), **options)


def patch(z: int, y: slice, x: slice) -> BoxMask:
    mask = np.zeros(SHAPE, bool)
    mask[z, y, x] = True
    return BoxMask.of(mask)


WIDE = patch(2, slice(0, 20), slice(0, 12))


def values_after(edit: EditSession) -> dict[int, int]:
    found, counts = np.unique(edit.segmentation.labels, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


class TestRules:
    def paint(self, **options: object) -> dict[int, int]:
        edit = session()
        edit.apply(WIDE, options.pop("value", 1), name="p", author=HAND, **options)
        return values_after(edit)

    def test_everywhere_spares_the_locked(self) -> None:
        assert self.paint() == {0: 6 * 600 - 240, 1: 240 - 16, 3: 16}

    def test_background_only_spares_every_segment(self) -> None:
        assert self.paint(rule=BackgroundOnly()) == {0: 6 * 600 - 240, 1: 240 - 32, 2: 16, 3: 16}

    def test_inside_touches_one_value(self) -> None:
        assert self.paint(rule=Inside(2)) == {0: 6 * 600 - 32, 1: 16, 3: 16}

    def test_a_lock_is_stronger_than_a_rule(self) -> None:
        assert self.paint(rule=Inside(3)) == {0: 6 * 600 - 32, 2: 16, 3: 16}

    def test_within_range_takes_both_ends_and_no_nan(self) -> None:
        voxels = np.full(SHAPE, 50.0)
        voxels[2, 0, :5] = [-30.0, 130.0, 130.1, -30.1, np.nan]
        voxels[2, 1:] = 500
        rule = WithinRange(-30, 130, voxels)
        assert self.paint(rule=rule)[1] == 12 - 3

    def test_all_of_needs_every_rule(self) -> None:
        voxels = np.zeros(SHAPE)
        voxels[2, 4:6] = 100
        assert self.paint(rule=AllOf((WithinRange(50, 150, voxels), BackgroundOnly())))[1] == 2 * (12 - 4)

    def test_range_on_another_grid_is_refused(self) -> None:
        with pytest.raises(GeometryError, match="does not cover these labels"):
            self.paint(rule=WithinRange(0, 1, np.zeros((2, 3, 4))))

    def test_erasing_takes_any_unlocked_segment_or_just_one(self) -> None:
        assert self.paint(value=0) == {0: 6 * 600 - 16, 3: 16}
        assert self.paint(value=0, erase=1) == {0: 6 * 600 - 32, 2: 16, 3: 16}
        assert self.paint(value=0, erase=2) == {0: 6 * 600 - 16, 3: 16}


def test_a_step_tells_what_happened() -> None:
    edit = session()
    step = edit.apply(
        WIDE, 1, name="Brush: Liver", author=HAND, parameters={"radius": np.float32(2.5), "axis": np.int64(0)}
    )
    assert step is not None
    assert (step.name, step.author, step.value) == ("Brush: Liver", HAND, 1)
    assert step.parameters == {"radius": 2.5, "axis": 0}
    assert edit.history.steps == (step,)
    assert edit.history.current is step


def test_the_box_of_a_step_is_tight_and_its_voxels_exact() -> None:
    edit = session()
    step = edit.apply(patch(2, slice(4, 9), slice(4, 8)), 2, name="p", author=HAND)
    assert step is not None
    assert step.box == Box((2, 8, 4), (3, 9, 8)), "voxels that carried the value already do not count"
    assert not step.before.unpack().any()
    assert (step.after.unpack() == 2).all()


def test_nothing_changed_is_no_step() -> None:
    edit = session()
    assert edit.apply(patch(2, slice(4, 8), slice(4, 8)), 2, name="p", author=HAND) is None
    assert (
        edit.apply(BoxMask(Box((50, 0, 0), (51, 1, 1)), np.ones((1, 1, 1), bool)), 1, name="p", author=HAND) is None
    )
    assert edit.replace(Box.whole(SHAPE), edit.segmentation.labels.copy(), name="r", author=HAND) is None
    assert edit.edit_table(TABLE) is None
    assert edit.stroke(1, name="s", author=HAND).finish() is None
    assert edit.history.steps == ()


class TestRefused:
    def test_values_without_segment_or_room(self) -> None:
        edit = session(np.uint8)
        with pytest.raises(UsageError, match="no segment with label 7"):
            edit.apply(WIDE, 7, name="p", author=HAND)
        edit.edit_table(TABLE.with_segment(Segment(300, "many")))
        with pytest.raises(UsageError, match="300 does not fit labels of type uint8"):
            edit.stroke(300, name="p", author=HAND)
        with pytest.raises(UsageError, match="does not fit"):
            edit.replace(Box.whole(SHAPE), np.full(SHAPE, 300, np.uint16), name="p", author=HAND)
        with pytest.raises(UsageError, match="no segment with label 9"):
            edit.replace(Box.whole(SHAPE), np.full(SHAPE, 9, np.uint16), name="p", author=HAND)

    def test_painting_a_locked_segment(self) -> None:
        with pytest.raises(UsageError, match="is locked"):
            session().apply(WIDE, 3, name="p", author=HAND)

    def test_boxes_that_do_not_fit(self) -> None:
        with pytest.raises(GeometryError, match="leaves labels"):
            session().replace(Box((0, 0, 0), (7, 1, 1)), np.zeros((7, 1, 1), int), name="p", author=HAND)
        with pytest.raises(GeometryError, match="do not fill"):
            session().replace(Box((0, 0, 0), (2, 1, 1)), np.zeros((1, 1, 1), int), name="p", author=HAND)

    def test_contradictions_and_foreign_types(self) -> None:
        with pytest.raises(UsageError, match="contradictory"):
            session().apply(WIDE, 1, erase=2, name="p", author=HAND)
        with pytest.raises(UsageError, match="JSON types"):
            session().apply(WIDE, 1, name="p", author=HAND, parameters={"a": object()})

    def test_going_where_no_history_is(self) -> None:
        with pytest.raises(UsageError, match="no position 1"):
            session().go_to(1)


def test_replace_neither_shrinks_nor_grows_the_locked() -> None:
    edit = session()
    new = np.full(SHAPE, 3, np.uint8)
    new[2] = 1
    edit.replace(Box.whole(SHAPE), new, name="model", author=Author("model", "m", "1"))
    assert values_after(edit) == {0: 5 * 600, 1: 600 - 16, 3: 16}


class TestTable:
    def test_labels_and_table_change_as_one_step(self) -> None:
        edit, seen = session(), []
        edit.table_changed.connect(seen.append)
        table = TABLE.with_segment(Segment(8, "Kidney"))
        edit.replace(Box((0, 0, 0), (1, 1, 1)), np.full((1, 1, 1), 8), table=table, name="m", author=HAND)
        edit.undo()
        assert edit.segmentation.table == TABLE
        assert edit.segmentation.labels[0, 0, 0] == 0
        edit.redo()
        assert seen == [table, TABLE, table]
        assert edit.segmentation.labels[0, 0, 0] == 8

    def test_locks_follow_the_table_through_undo(self) -> None:
        edit = session()
        edit.edit_table(TABLE.edited(3, locked=False), name="unlock")
        edit.apply(WIDE, 1, name="p", author=HAND)
        assert 3 not in values_after(edit)
        edit.go_to(0)
        edit.apply(WIDE, 1, name="p", author=HAND)
        assert values_after(edit)[3] == 16

    def test_removing_a_segment_erases_it_and_undo_brings_it_back(self) -> None:
        edit = session()
        before = edit.segmentation.labels.copy()
        step = edit.edit_table(TABLE.without(2), name="Remove Spleen")
        assert step is not None
        assert step.box == Box((2, 4, 4), (3, 8, 8))
        assert set(values_after(edit)) == {0, 3}
        edit.undo()
        assert np.array_equal(edit.segmentation.labels, before)

    def test_a_locked_segment_can_not_be_removed(self) -> None:
        with pytest.raises(UsageError, match="unlock it before"):
            session().edit_table(TABLE.without(3))


def test_prompts_follow_the_history() -> None:
    edit, seen = session(), []
    edit.prompts_changed.connect(seen.append)
    one, two = PointPrompt((1, 2, 3)), PointPrompt((4, 5, 6), positive=False)
    edit.apply(WIDE, 1, name="click", author=HAND, prompts=PromptChange((), (one,)))
    step = edit.apply(WIDE, 1, name="click", author=HAND, prompts=PromptChange((one,), (one, two)))
    assert step is not None, "a click that changes no voxel is still a step"
    assert step.box.size == 0
    edit.apply(WIDE, 2, name="brush", author=HAND)
    assert edit.prompts == (one, two)
    edit.go_to(1)
    assert edit.prompts == (one,)
    edit.go_to(0)
    assert seen == [(one,), (one, two), (one,), ()]


class TestPlan:
    def test_a_plan_changes_nothing_until_it_is_committed(self) -> None:
        edit = session()
        before = edit.segmentation.labels.copy()
        plan = edit.plan_replace(Box.whole(SHAPE), np.ones(SHAPE, np.uint8), name="m", author=HAND)
        assert np.array_equal(edit.segmentation.labels, before)
        assert plan is not None
        assert edit.commit(plan) is edit.history.current
        assert values_after(edit) == {1: 6 * 600 - 16, 3: 16}

    def test_a_plan_made_on_other_labels_is_refused(self) -> None:
        edit = session()
        plan = edit.plan_apply(WIDE, 1, name="m", author=HAND)
        edit.apply(patch(0, slice(0, 1), slice(0, 1)), 1, name="p", author=HAND)
        after = edit.segmentation.labels.copy()
        assert plan is not None
        with pytest.raises(UsageError, match="changed since"):
            edit.commit(plan)
        assert np.array_equal(edit.segmentation.labels, after)


class TestStroke:
    def test_dabs_are_seen_at_once_and_become_one_step(self) -> None:
        edit, boxes = session(), []
        edit.changed.connect(boxes.append)
        stroke = edit.stroke(1, name="s", author=HAND)
        assert stroke.add(patch(2, slice(0, 2), slice(0, 2))) == Box((2, 0, 0), (3, 2, 2))
        assert stroke.add(patch(2, slice(0, 2), slice(1, 3))) == Box((2, 0, 2), (3, 2, 3))
        assert stroke.add(patch(2, slice(0, 2), slice(0, 3))) is None
        assert edit.segmentation.labels[2, :2, :3].all()
        assert edit.history.steps == ()
        step = stroke.finish()
        assert step is not None
        assert step.box == Box((2, 0, 0), (3, 2, 3))
        assert edit.history.steps == (step,)
        assert len(boxes) == 2

    def test_one_that_grows_over_itself_is_taken_back_exactly(self) -> None:
        for ending in ("finish", "abort"):
            edit = session()
            before = edit.segmentation.labels.copy()
            stroke = edit.stroke(1, name="s", author=HAND)
            for size in range(1, 20):
                stroke.add(patch(2, slice(10 - size // 2, 10 + size // 2), slice(0, size)))
            stroke.abort() if ending == "abort" else stroke.finish()
            edit.undo()
            assert np.array_equal(edit.segmentation.labels, before), ending

    @pytest.mark.parametrize("ending", ["finish", "abort"])
    @pytest.mark.parametrize("shape", [(1, 9, 9), (9, 1, 9), (12, 50, 9)])
    def test_one_that_wanders_through_the_volume_is_taken_back_exactly(
        self, ending: str, shape: tuple[int, int, int]
    ) -> None:
        rng = np.random.default_rng(sum(shape))
        labels = rng.integers(0, 4, (40, 90, 130), np.uint16)
        edit = EditSession(Segmentation(labels, Geometry.from_spacing(labels.shape), TABLE))
        before = labels.copy()
        stroke = edit.stroke(1, name="s", author=HAND)
        start = np.array((20, 45, 65))
        for _ in range(30):
            start = np.clip(start + rng.integers(-12, 13, 3), -4, (38, 85, 125))
            box = Box.of(start, start + shape).clip(before.shape)
            stroke.add(BoxMask(box, rng.random(box.shape) < 0.8))
        assert not np.array_equal(edit.segmentation.labels, before)
        stroke.abort() if ending == "abort" else stroke.finish()
        if ending == "finish":
            edit.undo()
        assert np.array_equal(edit.segmentation.labels, before)

    def test_another_change_makes_a_step_of_what_was_painted(self) -> None:
        edit = session()
        stroke = edit.stroke(1, name="s", author=HAND)
        stroke.add(patch(2, slice(0, 2), slice(0, 2)))
        edit.apply(patch(2, slice(0, 1), slice(0, 9)), 2, name="model", author=Author("model", "m"))
        stroke.add(patch(2, slice(0, 2), slice(0, 2)))
        stroke.finish()
        assert [s.name for s in edit.history.steps] == ["s", "model", "s"]
        after = edit.segmentation.labels.copy()
        edit.go_to(0)
        edit.go_to(3)
        assert np.array_equal(edit.segmentation.labels, after)

    def test_undo_during_a_stroke_takes_back_what_was_painted(self) -> None:
        edit = session()
        before = edit.segmentation.labels.copy()
        stroke = edit.stroke(1, name="s", author=HAND)
        stroke.add(WIDE)
        assert edit.undo() is not None
        assert np.array_equal(edit.segmentation.labels, before)
        stroke.abort()
        assert np.array_equal(edit.segmentation.labels, before)

    def test_a_finished_stroke_takes_no_dab(self) -> None:
        stroke = session().stroke(1, name="s", author=HAND)
        stroke.finish()
        with pytest.raises(UsageError, match="finished"):
            stroke.add(WIDE)

    def test_finishing_twice_is_one_step(self) -> None:
        edit = session()
        stroke = edit.stroke(1, name="s", author=HAND)
        stroke.add(WIDE)
        stroke.finish()
        assert stroke.finish() is None
        stroke.abort()
        assert len(edit.history.steps) == 1
        assert 1 in values_after(edit)


class TestHistory:
    def test_a_new_step_voids_the_undone(self) -> None:
        edit = session()
        for z in range(3):
            edit.apply(patch(z, slice(0, 3), slice(0, 3)), 1, name=str(z), author=HAND)
        edit.go_to(1)
        edit.apply(patch(4, slice(0, 3), slice(0, 3)), 1, name="new", author=HAND)
        assert [s.name for s in edit.history.steps] == ["0", "new"]
        assert edit.redo() is None

    def test_the_budget_drops_the_oldest_and_says_so(self) -> None:
        noise = np.random.default_rng(0).random(SHAPE) < 0.5
        edit = session(byte_budget=600)
        for z in range(6):
            mask = np.zeros(SHAPE, bool)
            mask[z] = noise[z]
            edit.apply(BoxMask.of(mask), 1, name=str(z), author=HAND)
        history = edit.history
        assert history.nbytes <= history.byte_budget
        assert history.dropped > 0
        assert history.total_position == 6
        assert [s.name for s in history.steps] == [str(z) for z in range(history.dropped, 6)]

    def test_the_bytes_are_counted_on_and_on_yet_right(self) -> None:
        noise = np.random.default_rng(0).random((40, *SHAPE)) < 0.5
        edit = session(byte_budget=900)
        for number, mask in enumerate(noise):
            edit.apply(BoxMask.of(mask), number % 2, name=str(number), author=HAND)
            if number % 7 == 3:
                edit.undo()
                edit.undo()
            assert edit.history.nbytes == sum(step.nbytes for step in edit.history.steps)
        assert edit.history.dropped > 0

    def test_the_newest_step_stays_whatever_it_costs(self) -> None:
        edit = session(byte_budget=1)
        before = edit.segmentation.labels.copy()
        edit.apply(WIDE, 1, name="p", author=HAND)
        assert edit.history.dropped == 0
        edit.undo()
        assert np.array_equal(edit.segmentation.labels, before)

    def test_a_jump_passes_overlapping_steps_in_their_order(self) -> None:
        edit = session()
        start = edit.segmentation.labels.copy()
        for value in (1, 2, 1):
            edit.apply(WIDE, value, name=str(value), author=HAND)
        end = edit.segmentation.labels.copy()
        edit.go_to(0)
        assert np.array_equal(edit.segmentation.labels, start)
        edit.go_to(3)
        assert np.array_equal(edit.segmentation.labels, end)

    def test_signals_of_a_jump(self) -> None:
        edit, jumps = session(), []
        for z in range(3):
            edit.apply(patch(z, slice(0, 3), slice(0, 3)), 1, name=str(z), author=HAND)
        edit.history_changed.connect(lambda: jumps.append(edit.history.position))
        edit.go_to(0)
        edit.go_to(0)
        edit.go_to(3)
        assert jumps == [0, 3]


def test_an_everywhere_rule_is_the_default() -> None:
    one, other = session(), session()
    one.apply(WIDE, 1, name="p", author=HAND)
    other.apply(WIDE, 1, rule=Everywhere(), name="p", author=HAND)
    assert np.array_equal(one.segmentation.labels, other.segmentation.labels)
