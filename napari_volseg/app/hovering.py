"""What a click would take, shown under the cursor before it is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.case import Case
from napari_volseg.app.clicked import Line, Voxel, level_outline
from napari_volseg.app.jobs import Inbox
from napari_volseg.app.latest import Latest
from napari_volseg.app.outlines import Sketch
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.editing import OnSlice


class LevelHover:
    """The contour of the level under the cursor.

    Parameters
    ----------
    inbox
        Brings contours home from the thread that works them out.
    wishes
        Tell which side of the level is meant.
    changed
        Called when there is another contour to be seen, or none any more.

    Attributes
    ----------
    sketch
        The contour, None where none is shown.
    """

    def __init__(self, inbox: Inbox, wishes: ToolWishes, changed: Callable[[], object]) -> None:
        self._latest = Latest(inbox)
        self._wishes = wishes
        self._changed = changed
        self._under: tuple[Voxel, int] | None = None
        self.sketch: Sketch | None = None

    def follow(self, case: Case, place: NDArray[np.float64], axis: int) -> None:
        """Show the contour through a voxel index (z, y, x), fractional, on its slice normal to ``axis``."""
        if not case.volume.geometry.contains(place):
            self.leave()
            return
        z, y, x = (int(i) for i in np.round(place))
        voxel = (z, y, x)
        if self._under == (voxel, axis):
            return
        self._under = (voxel, axis)
        look = partial(level_outline, case, self._wishes, voxel, axis)
        self._latest.ask(look, partial(self._show, case, OnSlice(axis, voxel[axis])))

    def leave(self) -> None:
        """Show nothing any more."""
        if self._under is not None or self.sketch is not None:
            self._latest.forget()
            self._under = self.sketch = None
            self._changed()

    def close(self) -> None:
        """Let the thread end."""
        self._latest.close()

    def _show(self, case: Case, on: OnSlice, lines: tuple[Line, ...]) -> None:
        geometry = case.volume.geometry
        self.sketch = Sketch(on, tuple(geometry.to_patient(line) for line in lines), closed=True)
        self._changed()
