"""How a case was looked at: kept with the session, and taken up again with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari_volseg.app.case import Case
from napari_volseg.app.fusion import Fusion
from napari_volseg.app.keeping import Keeper
from napari_volseg.app.wishes import ToolWishes, ViewWishes
from napari_volseg.core import VolsegError, Window

if TYPE_CHECKING:
    from napari_volseg.app.application import Application


#: Wishes that are kept as they are.
VIEW_KEPT = (
    "layout",
    "layout_before",
    "large",
    "plane",
    "three_d",
    "zoom",
    "center",
    "crosshair",
    "rendering",
    "cut",
)
#: Wishes for tools that are kept; the tool itself is not, lest the first press on an image changes it.
TOOLS_KEPT = ("radius_mm", "hand_reach", "hand_slab_mm")


def view_state(case: Case, view: ViewWishes, tools: ToolWishes, fusion: Fusion) -> dict[str, Any]:
    """Return layout, planes, slices, camera, window, size of tools, active segment and second image for JSON."""
    return {
        **{name: getattr(view, name) for name in VIEW_KEPT},
        # a second image comes by itself, if it is found
        **{name: "four" for name in ("layout", "layout_before") if getattr(view, name) == "two"},
        **{name: getattr(tools, name) for name in TOOLS_KEPT},
        "index": view.index,
        "window": view.window.limits,
        "active": case.active,
        "second": fusion.state,
    }


def restore_view(state: Mapping[str, Any], case: Case, view: ViewWishes, tools: ToolWishes) -> None:
    """Look at a case as it was looked at; what is missing or makes no sense is left as it is."""
    shape = case.volume.geometry.shape
    for wishes, names in ((view, VIEW_KEPT), (tools, TOOLS_KEPT)):
        for name in names:
            if name in state:
                with suppress(ValueError):  # assigning alone does not look at the value
                    setattr(wishes, name, getattr(type(wishes)(**{name: state[name]}), name))
    with suppress(KeyError, TypeError, ValueError, VolsegError):
        z, y, x = (min(max(int(i), 0), n - 1) for i, n in zip(state["index"], shape, strict=True))
        view.index = (z, y, x)
    with suppress(KeyError, TypeError, ValueError, VolsegError):
        view.window = _window(case, *(float(limit) for limit in state["window"]))
    with suppress(KeyError, TypeError, ValueError, VolsegError):
        case.active = state["active"]


def _window(case: Case, low: float, high: float) -> Window:
    """Return the window of those limits, with its name where the case offers it."""
    offered = (window for window in case.windows().values() if tuple(window.limits) == (low, high))
    return next(offered, None) or Window.between(low, high)


class ViewKeeper:
    """Hands every change of the view to the journal of the open case, which writes it when it has come to rest.

    Parameters
    ----------
    app
        Whose wishes are followed.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._case: Case | None = None
        self._journal: Keeper | None = None
        self._kept: dict[str, Any] = {}
        app.view.events.connect(self.keep)
        app.tools.events.connect(self.keep)
        app.fusion.changed.connect(self.keep)
        app.fusion.wishes.events.connect(self.keep)

    def follow(self, case: Case, journal: Keeper | None) -> None:
        """Keep the view of another case from now on."""
        self._case, self._journal = case, journal
        self._kept = view_state(case, self._app.view, self._app.tools, self._app.fusion)
        case.active_changed.connect(self.keep)

    def leave(self) -> None:
        """Keep nothing any more."""
        self._case = self._journal = None

    def keep(self) -> None:
        """Keep the view where it is another one than before, and not that of an image that is being read."""
        if self._case is None or self._journal is None or self._case is not self._app.case:
            return
        if self._app.preview.arriving is not None:
            return
        now = view_state(self._case, self._app.view, self._app.tools, self._app.fusion)
        if now != self._kept:
            self._kept = now
            self._journal.keep_view(now)
