"""Random sequences of edits against a model that keeps whole copies and knows no boxes, deltas or compression."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_volseg.core import Box, BoxMask, Geometry, Segment, Segmentation, SegmentTable
from napari_volseg.editing import (
    AllOf,
    Author,
    BackgroundOnly,
    Delta,
    EditSession,
    Everywhere,
    Inside,
    OverwriteRule,
    WithinRange,
)

SHAPE = (4, 5, 6)
GREY = np.random.default_rng(3).integers(-100, 100, SHAPE).astype(np.int16)
TABLE = SegmentTable((Segment(1, "one"), Segment(2, "two"), Segment(3, "fixed", locked=True)))
HAND = Author("hand", "test")


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
actions = st.one_of(
    st.tuples(st.just("apply"), patches(), values, rules),
    st.tuples(st.just("stroke"), st.lists(patches(), max_size=5), values, rules, st.booleans()),
    st.tuples(st.just("replace"), patches(), st.integers(0, 2**16)),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("go_to"), st.floats(0, 1)),
)


class Reference:
    def __init__(self) -> None:
        self.states = [initial()]
        self.at = 0

    @property
    def now(self) -> np.ndarray:
        return self.states[self.at]

    def become(self, labels: np.ndarray) -> None:
        if not np.array_equal(labels, self.now):
            self.states[self.at + 1 :] = [labels]
            self.at += 1


def inside(patch: BoxMask) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for offset in np.argwhere(patch.mask):
        index = offset + patch.box.start
        if np.all(index >= 0) and np.all(index < SHAPE):
            mask[tuple(index)] = True
    return mask


def do(action: tuple, session: EditSession, reference: Reference) -> None:
    match action:
        case ("apply", patch, value, rule):
            session.apply(patch, value, rule=rule, name="apply", author=HAND)
            reference.become(painted(reference.now, inside(patch), value, rule))
        case ("stroke", dabs, value, rule, finish):
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
            session.replace(box, new, name="replace", author=HAND)
            labels = reference.now.copy()
            view = labels[box.slices]
            view[...] = np.where((view == 3) | (new == 3), view, new)
            reference.become(labels)
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
        assert session.history.position == reference.at
        assert len(session.history.steps) == len(reference.states) - 1
    session.go_to(0)
    assert np.array_equal(labels, initial())
