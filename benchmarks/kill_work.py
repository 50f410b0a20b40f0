"""Random work on a case that can be done again exactly, to be compared with what a killed process left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_volseg.app.recovery import Recovered, recover
from napari_volseg.app.session_file import SessionFile
from napari_volseg.core import Box, Geometry, PointPrompt, Segment, Segmentation, SegmentTable
from napari_volseg.editing import Author, EditSession, PromptChange, path_discs, path_spheres

SHAPE = (20, 72, 80)
GEOMETRY = Geometry.from_spacing(SHAPE, (2.5, 0.8, 0.7), (3.0, -5.0, 11.0))
TABLE = SegmentTable((Segment(1, "one"), Segment(2, "two"), Segment(3, "kept", locked=True)))
HAND, MODEL = Author("hand", "user"), Author("model", "noise", "1.2")
SOURCE = {"blake2b": "0" * 32}


def start() -> Segmentation:
    """Return labels to begin with; a part of them is locked."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[4:6, 10:30, 20:60] = 3
    return Segmentation(labels, GEOMETRY, TABLE)


def act(session: EditSession, seed: int, number: int) -> str:
    """Do action ``number`` of a sequence: it depends on the seed and on the state of the session alone.

    Each action is one message to the journal at most, so that a kill falls before or behind it and never within.
    """
    rng = np.random.default_rng((seed, number))
    actions = [_stroke, _stroke, _stroke, _sphere, _undo, _redo, _go_to, _click, _table, _replace]
    weights = np.array([5, 5, 5, 4, 6, 4, 1, 2, 1, 0.6])
    action = actions[rng.choice(len(actions), p=weights / weights.sum())]
    action(session, rng)
    return action.__name__[1:]


def _stroke(session: EditSession, rng: np.random.Generator) -> None:
    stroke = session.stroke(int(rng.integers(0, 3)), name="Brush", author=HAND)
    point = rng.uniform((0, 0, 0), SHAPE)
    for _ in range(int(rng.integers(1, 6))):
        towards = point + rng.uniform((0, -9, -9), (0, 9, 9))
        stroke.add(path_discs(GEOMETRY, point, towards, 4.0, 0))
        point = towards
    stroke.finish()


def _sphere(session: EditSession, rng: np.random.Generator) -> None:
    center = rng.uniform((0, 0, 0), SHAPE)
    session.apply(path_spheres(GEOMETRY, center, center, 9.0), int(rng.integers(0, 3)), name="Sphere", author=HAND)


def _undo(session: EditSession, rng: np.random.Generator) -> None:
    session.undo()


def _redo(session: EditSession, rng: np.random.Generator) -> None:
    session.redo()


def _go_to(session: EditSession, rng: np.random.Generator) -> None:
    history = session.history
    least = max(0, history.position - 90)
    session.go_to(int(rng.integers(least, len(history.steps) + 1)))


def _click(session: EditSession, rng: np.random.Generator) -> None:
    x, y, z = (float(c) for c in rng.uniform(0, 40, 3))
    change = PromptChange(session.prompts, (*session.prompts[-5:], PointPrompt((x, y, z), bool(rng.integers(2)))))
    center = rng.uniform((0, 0, 0), SHAPE)
    patch = path_spheres(GEOMETRY, center, center, 6.0)
    session.apply(patch, 1, name="Click", author=MODEL, prompts=change)


def _table(session: EditSession, rng: np.random.Generator) -> None:
    table = session.segmentation.table
    session.edit_table(table.edited(1, name=f"one {rng.integers(1000)}"), name="Rename")


def _replace(session: EditSession, rng: np.random.Generator) -> None:
    noise = rng.integers(0, 3, SHAPE)
    session.replace(Box.whole(SHAPE), noise, name="Model", author=MODEL)


def state_of(session: EditSession) -> tuple[object, ...]:
    """Return all that must be the same after a kill."""
    history = session.history
    return (
        session.segmentation.labels.tobytes(),
        session.segmentation.table,
        session.prompts,
        history.position,
        tuple((s.name, s.author, s.value, s.box, s.before, s.after, s.prompts, s.table) for s in history.steps),
    )


def go_on(found: Recovered, journal: SessionFile | None = None) -> EditSession:
    """Return a session that goes on with what was recovered; the labels are a copy."""
    segmentation = Segmentation(found.labels.copy(), GEOMETRY, found.table)
    return EditSession(segmentation, journal, history=found.history(), prompts=found.prompts)


def begin(path: Path, on_error) -> tuple[EditSession, SessionFile]:
    """Go on with a session file, or begin one."""
    if path.exists():
        found = recover(path)
        journal = SessionFile.resume(path, on_error)
        return go_on(found, journal), journal
    segmentation = start()
    journal = SessionFile.create(path, segmentation, SOURCE, on_error)
    return EditSession(segmentation, journal), journal


def rewound(found: Recovered) -> bool:
    """Tell whether undoing everything leads to the labels that were begun with, and redoing it back."""
    session = go_on(found)
    if found.dropped:
        return True
    session.go_to(0)
    first = np.array_equal(session.segmentation.labels, start().labels) and session.segmentation.table == TABLE
    session.go_to(found.position)
    return first and np.array_equal(session.segmentation.labels, found.labels)
