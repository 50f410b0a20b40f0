"""Measurements of the open case: drawn point by point on a slice, or worked out for a segment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_volseg.app.jobs import Job
from napari_volseg.app.layouts import bring_forward
from napari_volseg.app.wishes import Plane
from napari_volseg.core import (
    Angle,
    CancelToken,
    Diameters,
    Distance,
    Geometry,
    Measurement,
    Point,
    ProgressCallback,
    UsageError,
)
from napari_volseg.editing import Author, OnSlice
from napari_volseg.measure import longest_diameter, slice_diameters

if TYPE_CHECKING:
    from napari_volseg.app.application import Application
    from napari_volseg.app.case import Case

MeasuringTool = Literal["distance", "angle", "diameters"]
MEASURING_TOOLS: tuple[MeasuringTool, ...] = get_args(MeasuringTool)
#: Points that each takes.
POINTS: dict[str, int] = {"distance": 2, "angle": 3, "diameters": 4}
KINDS: dict[type[Measurement], str] = {Distance: "Distance", Angle: "Angle", Diameters: "Diameters"}
#: Of one slice are points whose index along its axis differs by less.
SAME_SLICE = 1e-3
#: A press that is moved by less, voxels, is a click.
CLICK = 0.75
#: Index axis that counts the slices of each plane, on a display grid.
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")


class Measuring:
    """The measurements, and the one in hand.

    Positions are voxel indices (z, y, x), fractional, on a slice normal to ``axis``; points are kept in patient mm.

    Parameters
    ----------
    app
        Whose open case is measured.

    Attributes
    ----------
    changed
        Emitted when something else is to be drawn: the measurement in hand or the chosen one changed.
    settled
        Emitted when a measurement was begun, finished, abandoned or chosen.
    """

    changed = Signal()
    settled = Signal()

    def __init__(self, app: Application) -> None:
        self._app = app
        self._points: list[NDArray[np.float64]] = []
        self._cursor: NDArray[np.float64] | None = None
        self._on: OnSlice | None = None
        self._chosen: int | None = None
        app.tools.events.tool.connect(self.abandon)
        app.case_changed.connect(self._forget)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """Those of the open case."""
        return self._app.case.session.measurements if self._app.case is not None else ()

    @property
    def chosen(self) -> int | None:
        """Which of them is chosen, None for none."""
        return self._chosen if self._chosen is not None and self._chosen < len(self.measurements) else None

    @chosen.setter
    def chosen(self, number: int | None) -> None:
        if number != self._chosen:
            self._chosen = number
            self.changed.emit()
            self.settled.emit()

    @property
    def drawing(self) -> bool:
        """Whether a measurement is begun and not finished."""
        return bool(self._points)

    @property
    def in_hand(self) -> Measurement | None:
        """The measurement that is being drawn, up to the cursor; None where there is not yet a line of it."""
        points = [*self._points, *([self._cursor] if self._cursor is not None and self._points else [])]
        if len(points) < 2:
            return None
        tool = self._app.tools.tool
        if tool == "angle" and len(points) > 2:
            return self._made("angle", points[:3])
        if tool == "diameters" and len(points) > 3:
            return self._made("diameters", points[:4])
        return self._made("distance", points[:2])

    # -- drawing --------------------------------------------------------------------------------------------------

    def press(self, index: ArrayLike, axis: int) -> None:
        """Set a point with the tool in hand; the last one finishes the measurement."""
        place = self._within(index)
        on = OnSlice(axis, round(float(place[axis])))
        if not self._points:
            self._on = on
        elif on != self._on:
            self._app.notice(
                "the measurement lies on another slice: go back to it, or abandon it [Escape]", "warning"
            )
            return
        self._set(self._flat(place))

    def move(self, index: ArrayLike) -> None:
        """Let the line in hand end under the cursor."""
        if self._points:
            self._cursor = self._flat(self._within(index))
            self.changed.emit()

    def release(self) -> None:
        """End a drag: where it was more than a click, its end is the next point."""
        if self._points and self._cursor is not None and np.abs(self._cursor - self._points[-1]).max() >= CLICK:
            self._set(self._cursor)

    def abandon(self) -> None:
        """Forget the measurement in hand."""
        self._points, self._cursor, self._on = [], None, None
        self.changed.emit()
        self.settled.emit()

    # -- of a segment ---------------------------------------------------------------------------------------------

    def measure_diameters(self) -> Job:
        """Measure the two diameters of the active segment on its axial slices, in the background."""
        case = self._need_segment()
        mask = case.mask_of

        def found(value: int, cancel: CancelToken) -> Measurement | None:
            return slice_diameters(mask(value), case.volume.geometry, cancel=cancel)

        return self._of_segment(case, found)

    def measure_longest(self) -> Job:
        """Measure the longest diameter of the active segment in space, in the background."""
        case = self._need_segment()

        def found(value: int, cancel: CancelToken) -> Measurement | None:
            return longest_diameter(case.mask_of(value), case.volume.geometry)

        return self._of_segment(case, found)

    def _of_segment(self, case: Case, find: Callable[[int, CancelToken], Measurement | None]) -> Job:
        segment = case.table[case.active]

        def work(progress: ProgressCallback, cancel: CancelToken) -> Measurement | None:
            return find(segment.value, cancel)

        def take(found: Measurement | None) -> None:
            if case is not self._app.case:
                return
            if found is None:
                raise UsageError(f'segment "{segment.name}" is empty: there is nothing to measure')
            named = type(found)(found.points, segment.name)  # type: ignore[arg-type]
            self._add(named, Author("tool", "measure"))
            self.go_to(len(self.measurements) - 1)

        return self._app.jobs.submit(f"Measuring {segment.name}", work, take, lane="tools")

    # -- the list -------------------------------------------------------------------------------------------------

    def remove(self, number: int) -> None:
        """Remove a measurement, as an undoable step."""
        kept, gone = list(self.measurements), self.measurements[number]
        del kept[number]
        self._app.need_case().session.measure(tuple(kept), name=f"Remove {KINDS[type(gone)].lower()}")
        self.chosen = None

    def remove_chosen(self) -> None:
        """Remove the chosen measurement, as an undoable step."""
        if self.chosen is not None:
            self.remove(self.chosen)

    def go_to(self, number: int) -> None:
        """Choose a measurement and show the slice that it lies on, in the plane in which it was drawn."""
        case = self._app.need_case()
        geometry, measurement = case.volume.geometry, self.measurements[number]
        self.chosen = number
        z, y, x = (
            min(max(round(float(i)), 0), n - 1)
            for i, n in zip(geometry.to_index(measurement.points).mean(0), geometry.shape, strict=True)
        )
        on = slice_of(measurement, geometry)
        if on is not None and self._app.view.layout == "one":
            bring_forward(self._app.view, PLANES[on.axis])
        self._app.view.index = (z, y, x)

    def row(self, number: int) -> str:
        """Return a measurement in words: what it is, its value, and where."""
        case, measurement = self._app.need_case(), self.measurements[number]
        on = slice_of(measurement, case.volume.geometry)
        where = f"{PLANES[on.axis]} {on.index}" if on is not None else "3D"
        what = measurement.name or KINDS[type(measurement)]
        return f"{what}: {value_text(measurement, self.unit)} · {where}"

    @property
    def unit(self) -> str:
        """Unit of lengths; voxels where the image has no known physical size."""
        case = self._app.case
        return "mm" if case is None or case.volume.is_calibrated else "voxels"

    # -- inside ---------------------------------------------------------------------------------------------------

    def _set(self, place: NDArray[np.float64]) -> None:
        self._points.append(place)
        self._cursor = None
        tool = self._app.tools.tool
        if len(self._points) >= POINTS.get(tool, 2):
            measurement = self._made(tool, self._points)
            self._points, self._on = [], None
            self._add(measurement, Author("hand", "user"))
            self.chosen = len(self.measurements) - 1
        self.changed.emit()
        self.settled.emit()

    def _add(self, measurement: Measurement, author: Author) -> None:
        session = self._app.need_case().session
        title = KINDS[type(measurement)]
        name = f"{title}: {measurement.name}" if measurement.name else title
        session.measure((*session.measurements, measurement), name=name, author=author)

    def _made(self, tool: str, places: list[NDArray[np.float64]]) -> Measurement:
        points = [_point(p) for p in self._geometry.to_patient(places)]
        match tool:
            case "angle":
                return Angle((points[0], points[1], points[2]))
            case "diameters":
                a, b, c, d = points
                return Diameters((a, b, c, _upright(a, b, c, d)))
            case _:
                return Distance((points[0], points[1]))

    def _within(self, index: ArrayLike) -> NDArray[np.float64]:
        return np.clip(np.asarray(index, float), -0.5, np.array(self._geometry.shape) - 0.5)

    def _flat(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a place on the slice of the measurement in hand."""
        assert self._on is not None
        flat = place.copy()
        flat[self._on.axis] = self._on.index
        return flat

    @property
    def _geometry(self) -> Geometry:
        return self._app.need_case().volume.geometry

    def _need_segment(self) -> Case:
        case = self._app.need_case()
        if not case.active:
            raise UsageError("there is no segment to measure: choose or make one first")
        return case

    def _forget(self) -> None:
        self._chosen = None
        self.abandon()


def slice_of(measurement: Measurement, geometry: Geometry) -> OnSlice | None:
    """Return the slice on which all points of a measurement lie, None where they lie in space."""
    places = geometry.to_index(measurement.points)
    for axis in range(3):
        if float(np.ptp(places[:, axis])) < SAME_SLICE:
            return OnSlice(axis, round(float(places[0, axis])))
    return None


def value_text(measurement: Measurement, unit: str) -> str:
    """Return the value of a measurement in words, such as ``"42.3 × 17.8 mm"``."""
    if isinstance(measurement, Angle):
        return f"{measurement.degrees:.1f}°"
    return f"{' × '.join(f'{length:.1f}' for length in measurement.lengths)} {unit}"


def _upright(a: Point, b: Point, c: Point, d: Point) -> Point:
    """Return the end of a line from ``c`` towards ``d`` that runs at right angles to the line from ``a`` to ``b``."""
    start, end, foot, wanted = (np.array(p) for p in (a, b, c, d))
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length if length else np.zeros(3)
    return _point(wanted - along * float((wanted - foot) @ along))


def _point(position: NDArray[np.float64]) -> Point:
    x, y, z = (float(c) for c in position)
    return x, y, z
