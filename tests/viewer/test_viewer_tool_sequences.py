"""Random sequences over all tools of the panel, clicks, strokes and undo: engine, layers and session file agree."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_volseg.app import SEGMENT_TOOLS, Application, Case, SessionStore, run_command
from napari_volseg.app.application import Opened
from napari_volseg.app.correcting import request_of, set_settings, settings_of
from napari_volseg.app.tool_drafts import Draft, draft_tool
from napari_volseg.app.tool_types import Choice, Number
from napari_volseg.core import Box, CancelToken, Geometry, Segmentation, SegmentTable, UsageError, Volume
from napari_volseg.editing import Author
from napari_volseg.viewer import ViewerBinding

SHAPE = (8, 12, 10)
SPACING = (3.0, 2.0, 1.5)
#: Numbers to try of each unit.
NUMBERS = {"mm": (1.5, 2.5, 5), "mm³": (10, 40), "image": (-50, 40, 90), "": (2, 3, 77)}
AXES = {"axial": 0, "coronal": 1, "sagittal": 2}


def make_volume() -> Volume:
    voxels = np.random.default_rng(3).integers(-100, 100, SHAPE).astype(np.int16)
    voxels[2:6, 3:9, 2:7] += 60
    return Volume(voxels, Geometry.from_spacing(SHAPE, SPACING), "CT", "HU", "HU", "noise")


def first_labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:6, 3:9, 2:7] = 1
    labels[3, 5, 4] = labels[5, 4:6, 5] = 0
    labels[1:5, 9:11, 3:9] = 2
    labels[6, 1, 8] = 1
    return labels


voxels = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
#: What can be done, and how often of twenty times.
ACTIONS: dict[str, tuple[int, tuple[st.SearchStrategy, ...]]] = {
    "tool": (10, (st.integers(0, 2**32 - 1),)),
    "undo": (2, ()),
    "redo": (1, ()),
    "brush": (1, (voxels,)),
    "click": (1, (voxels, st.booleans())),
    "go": (1, (st.sampled_from(list(AXES)), voxels)),
    "activate": (1, (st.integers(0, 9),)),
    "lock": (1, (st.integers(0, 9),)),
    "rule": (1, (st.sampled_from(["everywhere", "background"]), st.booleans())),
    "go to": (1, (st.floats(0, 1),)),
    "reopen": (1, ()),
}


@st.composite
def actions(draw: st.DrawFn) -> tuple:
    name = draw(st.sampled_from([name for name, (weight, _) in ACTIONS.items() for _ in range(weight)]))
    return (name, *(draw(part) for part in ACTIONS[name][1]))


class Bench:
    """A program with its layers, and a model that keeps whole copies of what it should hold."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.volume = folder, make_volume()
        self.open()
        for name in ("One", "Two"):
            self.app.case.add_segment(name)
        self.app.case.session.replace(Box.whole(SHAPE), first_labels(), name="Draw", author=Author("hand", "user"))
        self.app.case.active = 1
        self.settle()
        self.start = self.app.case.session.history.position
        self.states = [self.now()]
        self.at = 0

    def open(self) -> None:
        self.app = Application(sessions=SessionStore(self.folder))
        self.viewer = ViewerModel()
        self.binding = ViewerBinding(self.app, self.viewer)
        self.app.open_volume(self.volume)
        self.settle()
        self.app.view.three_d = True  # its stand-ins are made when it is first entered
        self.app.view.three_d = False
        self.settle()

    def close(self) -> None:
        self.settle()
        self.binding.close()
        self.app.close()

    def settle(self) -> None:
        while self.app.jobs.inbox.pump() or self.app.jobs.active:
            self.app.jobs.wait()

    def now(self) -> tuple[np.ndarray, SegmentTable]:
        held = self.app.case.segmentation
        return held.labels.copy(), held.table

    def took(self, labels: np.ndarray, table: SegmentTable) -> None:
        """Note a step that leads to a state."""
        self.states[self.at + 1 :] = [(labels, table)]
        self.at += 1

    def check(self) -> None:
        labels, table = self.states[self.at]
        held = self.app.case.segmentation
        assert np.array_equal(held.labels, labels)
        assert held.table == table
        history = self.app.case.session.history
        assert history.position - self.start == self.at
        assert len(history.steps) - self.start == len(self.states) - 1
        layer, axis = self.binding.labels, AXES[self.app.view.plane]
        assert np.array_equal(layer.data, labels)
        shown = np.take(labels, self.viewer.dims.current_step[axis], axis)
        assert np.array_equal(np.asarray(layer._slice.image.raw), shown)
        assert np.array_equal(self.binding.main.shown.segments_3d.layer.data, labels)


def random_settings(tool_id: str, rng: np.random.Generator, app: Application) -> dict[str, object]:
    chosen = {}
    for parameter in SEGMENT_TOOLS[tool_id].parameters:
        match parameter:
            case Number(name="high"):
                chosen["high"] = 150
            case Number(name=name, unit=unit, low=low):
                chosen[name] = max(float(rng.choice(NUMBERS[unit])), low)
            case Choice(name=name, options=options):
                chosen[name] = options[rng.integers(len(options))][0]
            case _:
                chosen[parameter.name] = int(rng.choice((0, *app.case.table.values)))
    return chosen


def draft_of_a_fresh_case(app: Application, tool_id: str) -> Draft | None:
    """Return what a tool would do in a program that has seen no other step, None where it is refused."""
    tool, held = SEGMENT_TOOLS[tool_id], app.case.segmentation
    fresh = Application()
    fresh.take_opened(Opened(Case(app.case.volume, Segmentation(held.labels.copy(), held.geometry, held.table))))
    fresh.case.active = app.case.active
    fresh.view.plane, fresh.view.index = app.view.plane, app.view.index
    fresh.tools.update(app.tools.model_dump())
    value = 0 if tool.acts_on(settings_of(fresh, tool)) == "all" else fresh.case.active
    try:
        return draft_tool(tool, request_of(fresh, tool, value), CancelToken())
    except UsageError:
        return None
    finally:
        fresh.close()


def use(bench: Bench, seed: int) -> None:
    """Apply a tool that follows, like all its settings, from a seed: whole numbers are spread more evenly so."""
    app, rng = bench.app, np.random.default_rng(seed)
    tool_id = str(rng.choice(list(SEGMENT_TOOLS)))
    app.tools.segment_tool, app.tools.slab_mm = tool_id, 4
    app.tools.reach = str(rng.choice(["volume", "volume", "slab", "slice"]))
    set_settings(app, SEGMENT_TOOLS[tool_id], random_settings(tool_id, rng, app))
    labels, table = bench.now()
    if rng.random() < 0.5:
        run_command(app, "tool.preview")
        bench.settle()
        bench.check()
    possible = app.case.table[app.case.active].locked is False or SEGMENT_TOOLS[tool_id].target == "all"
    draft = draft_of_a_fresh_case(app, tool_id) if possible else None
    run_command(app, "tool.apply")
    bench.settle()
    if app.case.session.history.position - bench.start != bench.at:
        assert draft is not None
        labels[draft.new.box.slices] = draft.new.labels
        bench.took(labels, draft.table)
    else:
        assert draft is None or draft.new is None or len(table) < 2
    app.tools.previewing = False


def do(action: tuple, bench: Bench) -> None:
    app = bench.app
    session, values = app.case.session, app.case.table.values
    match action:
        case ("tool", seed):
            use(bench, seed)
        case ("brush", voxel):
            if not app.case.table[app.case.active].locked:
                app.tools.tool, app.tools.radius_mm = "brush", 3.0
                app.painter.press(np.array(voxel, float), 0)
                app.painter.release()
                note_if_moved(bench)
        case ("click", voxel, positive):
            if not app.case.table[app.case.active].locked:
                app.click(tuple(float(c) for c in bench.volume.geometry.to_patient(voxel)), positive)
                bench.settle()
                note_if_moved(bench)
        case ("go", plane, voxel):
            app.view.plane = plane
            bench.viewer.dims.set_current_step(range(3), voxel)
        case ("activate", n):
            app.case.active = values[n % len(values)]
        case ("lock", n):
            value = values[n % len(values)]
            app.case.edit_segment(value, locked=not app.case.table[value].locked)
            note_if_moved(bench)
        case ("rule", rule, limited):
            app.tools.rule, app.tools.limit_to_range = rule, limited
            app.tools.range_low, app.tools.range_high = -20, 200
        case ("undo",):
            if bench.at:
                app.undo()
                bench.at -= 1
        case ("redo",):
            if session.history.can_redo:
                app.redo()
                bench.at += 1
        case ("go to", share):
            bench.at = round(share * (len(bench.states) - 1))
            session.go_to(bench.start + bench.at)
        case ("reopen",):
            bench.close()
            bench.open()
    bench.settle()


def note_if_moved(bench: Bench) -> None:
    """Take over what a click or stroke came to; that undo, redo and reopening bring it back is still the model's."""
    if bench.app.case.session.history.position - bench.start != bench.at:
        bench.took(*bench.now())


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(actions(), min_size=8, max_size=16))
def test_any_sequence_of_tools_leaves_engine_layers_and_file_alike(sequence: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for action in sequence:
            do(action, bench)
            bench.check()
        bench.close()
        bench.open()
        bench.check()
        for at in (*range(bench.at, -1, -1), *range(len(bench.states))):
            bench.at = at
            bench.app.case.session.go_to(bench.start + at)
            bench.settle()
            bench.check()
        bench.close()
