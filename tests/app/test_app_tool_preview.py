"""A preview shows what a tool would do, follows what it depends on, and leaves no trace."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tool_case import CHANGING, LIVER, SHAPE, labels, make_app, prepare, told

from napari_volseg.app import SEGMENT_TOOLS, Application, SessionStore, run_command, tool_preview
from napari_volseg.app import correcting as correcting_module
from napari_volseg.app.correcting import set_settings
from napari_volseg.app.tool_drafts import draft_tool
from napari_volseg.app.view_state import view_state


@pytest.fixture
def app():
    application = make_app()
    yield application
    application.close()


def settle(app):
    while app.jobs.inbox.pump() or app.jobs.active:
        app.jobs.wait()


def preview(app, tool_id, **settings):
    app.tools.segment_tool = tool_id
    set_settings(app, SEGMENT_TOOLS[tool_id], settings)
    app.tools.previewing = True
    settle(app)
    return app.tool_preview.draft


def drafted(app):
    """The labels as the draft would have them."""
    new = labels(app).copy()
    new[app.tool_preview.draft.new.box.slices] = app.tool_preview.draft.new.labels
    return new


@pytest.mark.parametrize("tool_id", CHANGING)
def test_what_is_applied_is_what_was_previewed(app, tool_id, monkeypatch):
    prepare(app, tool_id)
    before, steps = labels(app).copy(), app.case.session.history.steps
    state = view_state(app.case, app.view, app.tools, app.fusion)
    preview(app, tool_id, **CHANGING[tool_id])
    assert np.array_equal(labels(app), before)
    assert app.case.session.history.steps == steps
    assert view_state(app.case, app.view, app.tools, app.fusion) == state
    seen = drafted(app)
    assert not np.array_equal(seen, before)
    monkeypatch.setattr(correcting_module, "draft_tool", lambda *_: pytest.fail("worked out twice"))
    run_command(app, "tool.apply")
    settle(app)
    assert np.array_equal(labels(app), seen)
    assert len(app.case.session.history.steps) == len(steps) + 1
    assert app.tool_preview.draft is None
    app.undo()
    assert np.array_equal(labels(app), before)


@pytest.fixture
def slow(monkeypatch):
    """Hold each draft up until it is let go; tell how many ran at once."""

    class Slow:
        gate, begun = threading.Semaphore(0), threading.Semaphore(0)
        running = most = 0
        tools = ()

        def __call__(self, tool, request, cancel):
            self.running += 1
            self.most = max(self.most, self.running)
            self.tools += (request.settings.get("mm"),)
            self.begun.release()
            self.gate.acquire()
            self.running -= 1
            return draft_tool(tool, request, cancel)

    held = Slow()
    monkeypatch.setattr(tool_preview, "draft_tool", held)
    return held


def test_newer_settings_take_the_place_of_older_ones(app, slow):
    shown = []
    app.tool_preview.changed.connect(lambda: shown.append(app.tool_preview.draft.request.number("mm")))
    app.tools.segment_tool, app.tools.previewing = "margin", True
    for mm in (2, 3, 4, 5):
        set_settings(app, SEGMENT_TOOLS["margin"], {"mm": mm})
        app.jobs.inbox.pump()
    assert slow.begun.acquire(timeout=60)
    assert len([job for job in app.jobs.active if not job.token.cancelled]) == 1
    for _ in range(9):
        slow.gate.release()
    settle(app)
    assert slow.most == 1
    assert shown == [5]
    assert slow.tools in ((2, 5), (3, 5), (4, 5), (5,))


def test_an_older_draft_is_not_applied_while_a_newer_one_is_worked_out(app, slow):
    slow.gate.release()
    preview(app, "margin", mm=2)
    assert app.tool_preview.current
    set_settings(app, SEGMENT_TOOLS["margin"], {"mm": 4})
    assert not app.tool_preview.current
    app.jobs.inbox.pump()
    assert slow.begun.acquire(timeout=60)
    assert not app.tool_preview.current
    assert app.tool_preview.finished(SEGMENT_TOOLS["margin"]) is None
    run_command(app, "tool.apply")
    slow.gate.release()
    settle(app)
    assert app.case.session.history.current.parameters["mm"] == 4
    assert (labels(app)[5, :, 2] == LIVER).any()  # 3 mm from the block


def test_a_draft_that_comes_too_late_is_dropped(app, slow):
    app.tools.segment_tool, app.tools.previewing = "margin", True
    app.jobs.inbox.pump()
    assert slow.begun.acquire(timeout=60)
    run_command(app, "segment.cancel")
    slow.gate.release()
    settle(app)
    assert app.tool_preview.draft is None


def test_the_shown_slice_of_a_threshold_comes_first(app):
    seen = []
    app.tool_preview.changed.connect(lambda: seen.append(app.tool_preview.draft.new.box))
    app.case.add_segment("Bone")
    preview(app, "threshold", low=100, high=300)
    assert [(box.start[0], box.stop[0]) for box in seen] == [(4, 5), (3, 9)]
    assert app.tool_preview.current
    app.view.three_d = True
    seen.clear()
    settle(app)
    assert [(box.start[0], box.stop[0]) for box in seen] == [(3, 9)]


def test_the_slice_alone_is_never_applied_for_the_whole(app, monkeypatch):
    app.case.add_segment("Bone")
    monkeypatch.setattr(app.tool_preview, "_show", lambda draft, told="": setattr(app.tool_preview, "draft", draft))
    app.tools.segment_tool = "threshold"
    app.tools.previewing = True
    app.jobs.inbox.pump()
    while app.tool_preview.draft is None:
        app.jobs.inbox.pump(0.01)
    run_command(app, "tool.apply")
    settle(app)
    assert np.array_equal(labels(app) == 3, app.case.volume.voxels > 100)


@pytest.mark.parametrize(
    "change",
    [
        lambda app: set_settings(app, SEGMENT_TOOLS["margin"], {"mm": 2}),
        lambda app: setattr(app.tools, "reach", "slice"),
        lambda app: setattr(app.tools, "rule", "background"),
        lambda app: setattr(app.tools, "limit_to_range", True),
        lambda app: setattr(app.case, "active", 2),
        lambda app: app.undo(),
        lambda app: app.case.edit_segment(2, locked=True),
    ],
)
def test_it_follows_what_it_depends_on(app, change):
    first = preview(app, "margin", mm=4)
    change(app)
    assert not app.tool_preview.current
    settle(app)
    assert app.tool_preview.draft is not first
    seen = drafted(app) if app.tool_preview.draft.new else labels(app).copy()
    run_command(app, "tool.margin")
    settle(app)
    assert np.array_equal(labels(app), seen)


def test_it_follows_the_shown_slice_only_where_that_matters(app):
    first = preview(app, "margin", mm=4)
    app.view.index = (6, 8, 8)
    settle(app)
    assert app.tool_preview.draft is first
    app.tools.reach = "slice"
    settle(app)
    assert app.tool_preview.draft.new.box.start[0] == 6
    app.view.index = (7, 8, 8)
    settle(app)
    assert app.tool_preview.draft.new.box.start[0] == 7


def test_a_refusal_is_shown_and_not_told(app):
    notices = len(app.notices)
    draft = preview(app, "threshold", low=5, high=1)
    assert draft.new is None
    assert "give the lower bound first" in app.tool_preview.told
    set_settings(app, SEGMENT_TOOLS["threshold"], {"low": -5})
    settle(app)
    assert app.tool_preview.told == ""
    app.case.edit_segment(LIVER, locked=True)
    settle(app)
    assert 'segment "Liver" is locked' in app.tool_preview.told
    assert len(app.notices) == notices


def test_what_runs_is_not_stopped_with_a_preview(app):
    preview(app, "margin", mm=2)
    go_on = threading.Event()
    job = app.jobs.submit("Long", lambda progress, cancel: go_on.wait(60))
    run_command(app, "segment.cancel")
    assert not app.tools.previewing
    assert not job.token.cancelled
    run_command(app, "segment.cancel")
    assert job.token.cancelled
    go_on.set()
    settle(app)


def test_no_segment_is_made_for_a_preview(app):
    app.adopt(app.case.volume)
    draft = preview(app, "threshold", low=100, high=300)
    assert draft.new is not None
    assert not len(app.case.table)
    assert not app.case.session.history.steps
    run_command(app, "tool.apply")
    settle(app)
    assert np.array_equal(labels(app) == draft.request.value, app.case.volume.voxels > 100)


def test_nothing_of_it_is_in_the_session_file(app, tmp_path):
    volume = app.case.volume
    for look in (False, True):
        other = Application(sessions=SessionStore(tmp_path))
        other.open_volume(volume)
        settle(other)
        assert not labels(other).any()
        assert not other.case.session.history.steps
        assert not other.tools.previewing
        if not look:
            preview(other, "threshold", low=100, high=300)
            assert other.tool_preview.draft.new.labels.any()
        other.close()


def test_the_command_says_when_there_is_nothing_to_preview(app):
    app.case.edit_segment(LIVER, locked=True)
    app.tools.segment_tool = "margin"
    run_command(app, "tool.preview")
    assert "is locked" in told(app)
    assert not app.tools.previewing


def test_a_case_of_its_own_shape_is_followed_after_another(app):
    preview(app, "margin", mm=4)
    app.adopt(app.case.volume)
    settle(app)
    assert app.tool_preview.draft is None
    assert labels(app).shape == SHAPE
