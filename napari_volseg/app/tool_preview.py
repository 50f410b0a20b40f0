"""What the segment tool of the panel would do, before it is applied.

Nothing of it is ever in the labels, their history or their file: a draft holds labels of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_volseg.app.correcting import request_of, settings_of, why_not
from napari_volseg.app.jobs import Job
from napari_volseg.app.tool_drafts import Draft, draft_tool
from napari_volseg.app.tool_table import SEGMENT_TOOLS
from napari_volseg.app.tool_types import Request, SegmentTool
from napari_volseg.core import CancelledError, CancelToken, ProgressCallback, VolsegError

if TYPE_CHECKING:
    from napari_volseg.app.application import Application

#: Wishes that what a tool does depends on.
TUNED = ("settings", "reach", "slab_mm", "rule", "limit_to_range", "range_low", "range_high")


class ToolPreview:
    """Keeps a draft of the panel's segment tool in step with its settings, the labels and the shown slice.

    Drafts are worked out on a lane of their own, so that at most one runs; a change cancels it and those that
    wait. Changes are gathered: the next draft begins when the application's inbox is pumped.

    Parameters
    ----------
    app
        Whose wishes and case are followed.

    Attributes
    ----------
    draft
        What is to be shown; None where nothing is, or not yet. May be that of the shown slice alone.
    told
        Why nothing can be shown, else empty.
    changed
        There is something else to be shown.
    """

    changed = Signal()

    def __init__(self, app: Application) -> None:
        self._app = app
        self.draft: Draft | None = None
        self.told = ""
        self._job: Job | None = None
        self._whole = False
        self._asked = False
        for name in TUNED:
            getattr(app.tools.events, name).connect(self._renew)
        app.tools.events.previewing.connect(self._renew)
        app.tools.events.tool.connect(self.end)
        app.tools.events.segment_tool.connect(self.end)
        app.view.events.three_d.connect(self._renew)
        app.view.events.plane.connect(self._follow_slice)
        app.view.events.index.connect(self._follow_slice)
        app.case_changed.connect(self._follow_case)

    def end(self) -> None:
        """Show nothing any more."""
        self._app.tools.previewing = False

    @property
    def current(self) -> bool:
        """Whether the draft is whole, and that of the settings, labels and slice as they are."""
        case, draft = self._app.case, self.draft
        return self._whole and case is not None and draft is not None and draft.revision == case.session.revision

    def finished(self, tool: SegmentTool) -> Draft | None:
        """Return the draft that applying a tool would work out again, None where there is none."""
        return self.draft if self.current and self._tool is tool and self._app.tools.previewing else None

    @property
    def _tool(self) -> SegmentTool:
        return SEGMENT_TOOLS[self._app.tools.segment_tool]

    # -- when to look again -----------------------------------------------------------------------------------

    def _follow_case(self) -> None:
        self.end()
        self._stop()
        case = self._app.case
        if case is not None:
            for signal in (case.session.changed, case.session.table_changed, case.active_changed):
                signal.connect(self._renew)

    def _follow_slice(self) -> None:
        app = self._app
        if app.tools.previewing and self._tool.needs_slice(app.tools.reach, settings_of(app, self._tool)):
            self._renew()

    def _renew(self) -> None:
        """Have a draft worked out, or none where none is wished; the one that is there is no longer current."""
        self._whole = False
        if not self._app.tools.previewing:
            self._stop()
        elif not self._asked:
            self._asked = True
            self._app.jobs.inbox.post(self._begin)

    def _stop(self) -> None:
        self._cancel()
        self._asked = False
        self._show(None)

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
        self._job = None

    # -- working out ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._asked:
            return
        self._cancel()
        self._asked = False
        if reason := why_not(self._app, self._tool.id):
            self._show(None, f"Nothing to preview: {reason}")
            return
        tool, request = self._tool, self._request()
        slice_first = tool.by_voxel and request.reach != "slice" and not self._app.view.three_d

        def work(progress: ProgressCallback, cancel: CancelToken) -> Draft:
            if slice_first:
                first = _draft(tool, replace(request, reach="slice"), cancel)
                self._app.jobs.inbox.post(lambda: self._take(cancel, first, whole=False))
            return _draft(tool, request, cancel)

        self._job = job = self._app.jobs.submit(
            f"{tool.title}: preview", work, lambda draft: self._take(job.token, draft), lane="preview", quiet=True
        )

    def _request(self) -> Request:
        """Return what the tool would work on; a segment that it would make is in the table already."""
        app, tool, case = self._app, self._tool, self._app.need_case()
        if tool.acts_on(settings_of(app, tool)) == "all":
            return request_of(app, tool, 0)
        if case.active:
            return request_of(app, tool, case.active)
        fresh = case.table.new_segment()
        return replace(request_of(app, tool, fresh.value), table=case.table.with_segment(fresh))

    def _take(self, token: CancelToken, draft: Draft, *, whole: bool = True) -> None:
        """Show a draft, unless another one was begun meanwhile."""
        if self._job is None or token is not self._job.token or token.cancelled:
            return
        self._whole = whole
        if whole or draft.new is not None:
            self._show(draft, draft.told)

    def _show(self, draft: Draft | None, told: str = "") -> None:
        if draft is self.draft and told == self.told:
            return
        self.draft, self.told = draft, told
        self.changed.emit()


def _draft(tool: SegmentTool, request: Request, cancel: CancelToken) -> Draft:
    """Work out a draft; a refusal becomes one of no change, for it may be gone with the next setting."""
    try:
        return draft_tool(tool, request, cancel)
    except CancelledError:
        raise
    except VolsegError as error:
        return Draft(tool, request, request.case.session.revision, None, request.table, str(error))
