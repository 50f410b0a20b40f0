"""Random sequences of edits against a model that keeps whole copies and knows no boxes, deltas or compression.

The same sequences are kept in a session file, which is closed and opened again in between.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_volseg.app import session_changes
from napari_volseg.app.recovery import recover
from napari_volseg.app.session_file import SessionFile
from napari_volseg.core import (
    Box,
    BoxMask,
    Geometry,
    PointPrompt,
    Prompt,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
)
from napari_volseg.editing import (
    AllOf,
    Author,
    BackgroundOnly,
    Delta,
    EditSession,
    Everywhere,
    Inside,
    InVolume,
    OverwriteRule,
    PromptChange,
    WithinRange,
    fill_region,
)

SHAPE = (4, 5, 6)
GREY = np.random.default_rng(3).integers(-100, 100, SHAPE).astype(np.int16)
TABLE = SegmentTable((Segment(1, "one"), Segment(2, "two"), Segment(3, "fixed", locked=True)))
HAND = Author("hand", "test")
MODEL = Author("model", "test", "1.0")


@dataclass
class Replay:
    """The journal of a session: what a durable one would have to keep."""

    steps: list[Delta] = field(default_factory=list)
    position: int = 0

    def record(self, step: Delta) -> None:
        self.steps[self.position :] = [step]
        self.position += 1

    def moved(self, position: int) -> None:
        self.position = position

    def labels(self, start: np.ndarray) -> np.ndarray:
        labels = start.copy()
        for step in self.steps[: self.position]:
            step.apply_to(labels)
        return labels


def initial() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 4, SHAPE).astype(np.uint8)


def painted(labels: np.ndarray, mask: np.ndarray, value: int, rule: OverwriteRule) -> np.ndarray:
    return np.where(mask & allowed(labels, rule) & (labels != 3), value, labels)


def allowed(labels: np.ndarray, rule: OverwriteRule) -> np.ndarray:
    match rule:
        case Everywhere():
            return np.ones(SHAPE, bool)
        case BackgroundOnly():
            return labels == 0
        case Inside(value=value):
            return labels == value
        case WithinRange(low=low, high=high):
            return (low <= GREY) & (high >= GREY)
        case AllOf(rules=rules):
            return np.all([allowed(labels, r) for r in rules], axis=0)


@st.composite
def patches(draw: st.DrawFn) -> BoxMask:
    start = [draw(st.integers(-2, n)) for n in SHAPE]
    size = [draw(st.integers(0, 4)) for _ in SHAPE]
    box = Box.of(start, np.add(start, size).tolist())
    seed = draw(st.integers(0, 2**16))
    return BoxMask(box, np.random.default_rng(seed).random(box.shape) < 0.6)


simple_rules = st.one_of(
    st.just(Everywhere()),
    st.just(BackgroundOnly()),
    st.builds(Inside, st.integers(0, 2)),
    st.builds(lambda low: WithinRange(low, low + 80, GREY), st.integers(-100, 60)),
)
rules = st.one_of(simple_rules, st.builds(lambda a, b: AllOf((a, b)), simple_rules, simple_rules))
values = st.integers(0, 2)
indices = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
actions = st.one_of(
    st.tuples(st.just("fill"), indices, values),
    st.tuples(st.just("erase"), patches(), st.integers(1, 2)),
    st.tuples(st.just("click"), patches(), st.lists(st.integers(0, 9), max_size=2)),
    st.tuples(st.just("rename"), st.integers(0, 3)),
    st.tuples(st.just("remove or add")),
    st.tuples(st.just("apply"), patches(), values, rules),
    st.tuples(st.just("stroke"), st.lists(patches(), max_size=5), values, rules, st.booleans()),
    st.tuples(st.just("replace"), patches(), st.integers(0, 2**16)),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("go_to"), st.floats(0, 1)),
)


@dataclass(frozen=True)
class State:
    labels: np.ndarray
    table: SegmentTable = TABLE
    prompts: tuple[Prompt, ...] = ()

    def equals(self, other: State) -> bool:
        same = self.table == other.table and self.prompts == other.prompts
        return same and np.array_equal(self.labels, other.labels)


class Reference:
    def __init__(self) -> None:
        self.states = [State(initial())]
        self.at = 0

    @property
    def now(self) -> np.ndarray:
        return self.state.labels

    @property
    def state(self) -> State:
        return self.states[self.at]

    def become(self, labels: np.ndarray, **others: object) -> None:
        state = replace(self.state, labels=labels, **others)
        if not state.equals(self.state):
            self.states[self.at + 1 :] = [state]
            self.at += 1

    def known(self, value: int) -> int:
        """Return the value, or one of a segment that exists."""
        return value if value == 0 or value in self.state.table else 1


def inside(patch: BoxMask) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for offset in np.argwhere(patch.mask):
        index = offset + patch.box.start
        if np.all(index >= 0) and np.all(index < SHAPE):
            mask[tuple(index)] = True
    return mask


def region(labels: np.ndarray, index: tuple[int, int, int]) -> np.ndarray:
    parts, _ = ndimage.label(labels == labels[index])
    return parts == parts[index]


def state_of(session: EditSession) -> State:
    return State(session.segmentation.labels, session.segmentation.table, session.prompts)


def do(action: tuple, session: EditSession, reference: Reference) -> None:
    match action:
        case ("apply", patch, value, rule):
            value = reference.known(value)
            session.apply(patch, value, rule=rule, name="apply", author=HAND)
            reference.become(painted(reference.now, inside(patch), value, rule))
        case ("stroke", dabs, value, rule, finish):
            value = reference.known(value)
            stroke, labels = session.stroke(value, rule=rule, name="stroke", author=HAND), reference.now
            for dab in dabs:
                stroke.add(dab)
                labels = painted(labels, inside(dab), value, rule)
                assert np.array_equal(session.segmentation.labels, labels)
            if finish:
                stroke.finish()
                reference.become(labels)
            else:
                stroke.abort()
        case ("replace", patch, seed):
            box = patch.box.clip(SHAPE)
            new = np.random.default_rng(seed).integers(0, 4, box.shape).astype(np.int64)
            new[new == 2] = reference.known(2)
            session.replace(box, new, name="replace", author=HAND)
            labels = reference.now.copy()
            view = labels[box.slices]
            view[...] = np.where((view == 3) | (new == 3), view, new)
            reference.become(labels)
        case ("fill", index, value):
            value = reference.known(value)
            session.apply(
                fill_region(session.segmentation.labels, index, InVolume()), value, name="fill", author=HAND
            )
            reference.become(painted(reference.now, region(reference.now, index), value, Everywhere()))
        case ("erase", patch, value):
            session.apply(patch, 0, erase=value, name="erase", author=HAND)
            reference.become(np.where(inside(patch) & (reference.now == value), 0, reference.now))
        case ("click", patch, places):
            prompts = tuple(PointPrompt((float(place), 1.0, 1 / 3), place % 2 == 0) for place in places)
            change = PromptChange(reference.state.prompts, prompts)
            session.apply(patch, 1, name="click", author=MODEL, prompts=change)
            reference.become(painted(reference.now, inside(patch), 1, Everywhere()), prompts=prompts)
        case ("rename", number):
            table = reference.state.table.edited(1, name=f"name {number}")
            session.edit_table(table)
            reference.become(reference.now, table=table)
        case ("remove or add",):
            before = reference.state.table
            table = before.without(2) if 2 in before else before.with_segment(Segment(2, "two"))
            session.edit_table(table)
            reference.become(np.where(np.isin(reference.now, (1, 3, *table.values)), reference.now, 0), table=table)
        case ("undo",):
            assert (session.undo() is not None) == (reference.at > 0)
            reference.at = max(0, reference.at - 1)
        case ("redo",):
            assert (session.redo() is not None) == (reference.at < len(reference.states) - 1)
            reference.at = min(len(reference.states) - 1, reference.at + 1)
        case ("go_to", share):
            reference.at = round(share * (len(reference.states) - 1))
            session.go_to(reference.at)


@settings(max_examples=150, deadline=None)
@given(st.lists(actions, max_size=14))
def test_any_sequence_of_edits_equals_its_replay(sequence: list[tuple]) -> None:
    journal, reference, mirror = Replay(), Reference(), initial()
    session = EditSession(Segmentation(initial(), Geometry.from_spacing(SHAPE), TABLE), journal)
    labels = session.segmentation.labels

    def follow(box: Box) -> None:
        mirror[box.slices] = labels[box.slices]

    session.changed.connect(follow)
    for action in sequence:
        do(action, session, reference)
        assert np.array_equal(labels, reference.now)
        assert np.array_equal(mirror, labels), "a written voxel was not announced"
        assert np.array_equal(journal.labels(initial()), labels), "the journal tells another story"
        assert state_of(session).equals(reference.state)
        assert session.history.position == reference.at
        assert len(session.history.steps) == len(reference.states) - 1
    session.go_to(0)
    assert np.array_equal(labels, initial())


#: Small steps, and rests in which the file keeps the labels whole, before some steps are taken back in one go.
short = st.one_of(
    st.tuples(st.just("rename"), st.integers(0, 3)),
    st.tuples(st.just("erase"), patches(), st.integers(1, 2)),
    st.tuples(st.just("click"), patches(), st.lists(st.integers(0, 9), max_size=2)),
)
rests = st.tuples(st.just("rest"), st.integers(0, 4))


def unexpected(error: RefusedError) -> None:
    raise AssertionError(error)


def reopened(path: Path) -> tuple[EditSession, SessionFile]:
    found = recover(path)
    assert not found.crashed
    file = SessionFile.resume(path, unexpected)
    segmentation = found.segmentation(Geometry.from_spacing(SHAPE))
    return EditSession(segmentation, file, history=found.history(), prompts=found.prompts), file


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(actions, actions, short, rests, st.just(("reopen",))), min_size=8, max_size=30))
def test_any_sequence_of_edits_is_in_the_session_file(sequence: list[tuple]) -> None:
    tidy_often = {"BASE_EVERY": 3, "BASE_BEHIND": 1, "IDLE_SECONDS": 0.0}
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(session_changes, **tidy_often):
        path, reference = Path(folder) / "case.volseg", Reference()
        segmentation = Segmentation(initial(), Geometry.from_spacing(SHAPE), TABLE)
        file = SessionFile.create(path, segmentation, {}, unexpected)
        session = EditSession(segmentation, file)
        for action in sequence:
            if action == ("reopen",):
                file.close()
                session, file = reopened(path)
            elif action[0] == "rest":
                assert file.flush()
                time.sleep(0.004)
                for _ in range(action[1]):
                    do(("undo",), session, reference)
            else:
                do(action, session, reference)
        file.close()
        session, file = reopened(path)
        assert state_of(session).equals(reference.state)
        assert (session.history.position, len(session.history.steps)) == (reference.at, len(reference.states) - 1)
        for position in (*range(reference.at, -1, -1), *range(len(reference.states))):
            session.go_to(position)
            assert state_of(session).equals(reference.states[position])
        file.close()
