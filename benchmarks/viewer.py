"""Looking at a large CT in linked views: this project against plain napari with the same two layers, in one run.

    scripts/on_display.sh .venv/bin/python benchmarks/viewer.py [--shape 600 512 512] [--repeats 15] [--json FILE]

Both have a window of the same size. What is asked for counts until the canvases have shown it. The two take turns;
ratios are of CPU time of the whole process, which other work on the machine does not stretch, and limits in
milliseconds are of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

SEGMENTS = 100
SIZE = (1366, 768)
#: Longest wait for a frame, seconds.
PATIENCE = 120.0
#: A beat of the watchdog's heart, ms.
BEAT_MS = 2

#: Name of a measurement, with which one it is compared, and what it may be of that.
RATIOS = (
    ("three views, slice", "napari, slice", 2.0),
    ("one view, slice", "napari, slice", 1.1),
    ("one view, window", "napari, window", 1.2),
    ("three views, window", "napari, window", 1.2),
)
#: Name of a measurement and its limit, ms.
LIMITS = (("crosshair jump", 100.0), ("dab, all views", 50.0), ("opening the layout", 2000.0))


@dataclass(frozen=True, slots=True)
class Time:
    """What something took: by the clock, by the processor, and the longest pause of the event loop, ms."""

    clock: float
    cpu: float
    pause: float


def phantom(shape: tuple[int, int, int]) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Return a CT (z, y, x) with noise, and labels of balls in it."""
    rng = np.random.default_rng(7)
    tile = rng.integers(-60, 60, (64, *shape[1:]), dtype=np.int16)
    voxels = np.empty(shape, np.int16)
    for z in range(shape[0]):
        voxels[z] = tile[z % 64]
    labels = np.zeros(shape, np.uint16)
    radius = min(shape) // 14
    ball = np.linalg.norm(np.stack(np.meshgrid(*[np.arange(-radius, radius + 1)] * 3)), axis=0) <= radius
    for value in range(1, SEGMENTS + 1):
        start = [int(rng.integers(0, n - ball.shape[0])) for n in shape]
        place = tuple(slice(a, a + n) for a, n in zip(start, ball.shape, strict=True))
        labels[place][ball] = value
        voxels[place][ball] += 150
    return voxels, labels


class Stage:
    """Runs something in the event loop until canvases have shown it."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self._swapped: set[object] = set()
        self._last, self._longest = time.perf_counter(), 0.0
        self._heart = QTimer()
        self._heart.timeout.connect(self._beat)
        self._heart.start(BEAT_MS)

    def watch(self, canvas: object) -> None:
        """Notice every frame of a canvas."""
        canvas.frameSwapped.connect(lambda: self._swapped.add(canvas))

    def rest(self, seconds: float = 0.2) -> None:
        """Let everything settle that was asked for."""
        from qtpy.QtWidgets import QApplication

        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            QApplication.processEvents()
            time.sleep(0.002)

    def time(
        self, action: Callable[[], object], canvases: list[object], done: Callable[[], bool] = lambda: True
    ) -> Time:
        """Return what an action took until all of the canvases had shown it and it was done."""
        from qtpy.QtWidgets import QApplication

        self.rest()
        self._swapped.clear()
        self._last, self._longest = time.perf_counter(), 0.0
        clock, cpu = time.perf_counter(), time.process_time()
        action()
        while not (done() and self._swapped.issuperset(canvases)):
            QApplication.processEvents()
            if time.perf_counter() - clock > PATIENCE:
                raise RuntimeError("no frame came")
        self._beat()
        return Time(1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - cpu), 1e3 * self._longest)

    def _beat(self) -> None:
        now = time.perf_counter()
        self._longest, self._last = max(self._longest, now - self._last), now


def measure(shape: tuple[int, int, int], repeats: int) -> dict[str, list[Time]]:
    """Return all times by what was measured."""
    import napari
    from napari.qt import QtViewer
    from qtpy.QtWidgets import QApplication

    from napari_volseg.app import Case
    from napari_volseg.app.application import Opened
    from napari_volseg.app.layouts import VIEWS
    from napari_volseg.core import Geometry, Segmentation, SegmentTable, Volume, Window
    from napari_volseg.viewer.layers import segment_colormap
    from napari_volseg.widgets import create_window

    voxels, labels = phantom(shape)
    geometry = Geometry.from_spacing(shape, (1.0, 0.8, 0.8))
    table = SegmentTable()
    for value in range(1, SEGMENTS + 1):
        table = table.with_segment(table.new_segment(f"Segment {value}"))
    times: dict[str, list[Time]] = {}

    viewer, app, panel = create_window()
    panel.window().resize(*SIZE)
    app.view.layout = "one"
    app.take_opened(Opened(Case(Volume(voxels, geometry, "CT", "HU", "HU"), Segmentation(labels, geometry, table))))
    stage = Stage()
    stage.rest(2.0)
    ours = panel.views.canvas("axial")
    stage.watch(ours)

    plain = napari.Viewer(show=False, show_welcome_screen=False)
    plain.add_image(
        voxels, colormap="gray", contrast_limits=(-160, 240), interpolation2d="linear", scale=geometry.spacing
    )
    plain.add_labels(labels, colormap=segment_colormap(table), opacity=0.5, scale=geometry.spacing)
    plain.window.add_dock_widget(_spacer(panel.width()), area="right")
    plain.show()
    qt_plain = next(w for w in QApplication.allWidgets() if isinstance(w, QtViewer) and w.viewer is plain)
    qt_plain.window().resize(*SIZE)
    theirs = qt_plain.canvas.native
    stage.watch(theirs)
    stage.rest(1.0)
    qt_plain.window().resize(*(SIZE[i] + d for i, d in enumerate(_more(ours, theirs))))
    stage.rest(1.0)
    print(f"canvas of {ours.width()} x {ours.height()} pixels, napari's {theirs.width()} x {theirs.height()}")

    def add(name: str, action: Callable[[int], object], canvases: list[object]) -> None:
        """Time the second of two in a row: the first one pays for the change from the other window."""
        stage.time(lambda: action(0), canvases)
        times.setdefault(name, []).append(stage.time(lambda: action(1), canvases))

    def here(turn: int, k: int) -> tuple[int, int, int]:
        z, y, x = (n // 3 + 4 * turn + 2 * k for n in shape)
        return z, y, x

    def window(turn: int, k: int) -> float:
        return 300.0 + 10 * turn + 5 * k

    def plain_turn(turn: int) -> None:
        add("napari, slice", lambda k: plain.dims.set_current_step(0, here(turn, k)[0]), [theirs])
        add("napari, window", lambda k: _limits(plain, window(turn, k)), [theirs])

    def one_turn(turn: int) -> None:
        add("one view, slice", lambda k: viewer.dims.set_current_step(0, here(turn, k)[0]), [ours])
        add("one view, window", lambda k: setattr(app.view, "window", Window(40, window(turn, k))), [ours])

    def linked_turn(turn: int, flat: list[object]) -> None:
        add("three views, slice", lambda k: setattr(app.view, "index", here(turn, k)), flat)
        add("three views, window", lambda k: setattr(app.view, "window", Window(40, window(turn, k))), flat)
        places = [tuple(int(i) for i in rng.integers(40, np.array(shape) - 40)) for _ in range(2)]
        add("crosshair jump", lambda k: setattr(app.view, "index", places[k]), flat)
        add("dab, all views", lambda k: _dab(app, k), flat)

    def all_there() -> bool:
        return len(panel.binding.shown) == len(VIEWS)

    for turn in range(repeats):
        plain_turn(turn)
        one_turn(turn)
    times["opening the layout"] = [stage.time(lambda: setattr(app.view, "layout", "four"), [ours], all_there)]
    flat = [panel.views.canvas(name) for name in ("axial", "coronal", "sagittal")]
    for canvas in flat[1:]:
        stage.watch(canvas)
    stage.rest(2.0)
    rng = np.random.default_rng(1)
    app.case.active = 1
    app.tools.tool, app.tools.radius_mm = "brush", 8.0
    for turn in range(repeats):
        plain_turn(turn)
        linked_turn(turn, flat)
    app.view.layout = "one"
    stage.rest(0.5)
    app.view.three_d = True
    stage.rest(3.0)
    for turn in range(min(repeats, 3)):
        add("3D, turned", partial(_turn, viewer, turn), [ours])
    viewer.close()
    plain.close()
    return times


def _spacer(width: int) -> object:
    from qtpy.QtWidgets import QWidget

    spacer = QWidget()
    spacer.setFixedWidth(width)
    return spacer


def _more(ours: object, theirs: object) -> tuple[int, int]:
    """Return how much wider and higher a window has to be for its canvas to have the size of ours."""
    return ours.width() - theirs.width(), ours.height() - theirs.height()


def _limits(viewer: object, width: float) -> None:
    viewer.layers[0].contrast_limits = (40 - width / 2, 40 + width / 2)


def _turn(viewer: object, turn: int, k: int) -> None:
    viewer.scene.camera.angles = (5 + turn, 20 + 20 * turn + 10 * k, 80)


def _dab(app: object, k: int) -> None:
    painter = app.painter
    painter.press(np.add(app.view.index, (0.0, 2.0 * k, 0.0)), 0)
    painter.release()
    app.jobs.inbox.pump()


@contextmanager
def own_surroundings() -> Iterator[None]:
    """Keep settings and sessions away from the user's."""
    with tempfile.TemporaryDirectory() as own:
        os.environ.update(XDG_DATA_HOME=own, XDG_CACHE_HOME=own, NAPARI_CONFIG=f"{own}/settings.yaml")
        yield


def report(times: dict[str, list[Time]]) -> bool:
    """Print medians and whether every bar is kept; return that."""
    middle = {
        name: Time(*(median(getattr(t, field) for t in taken) for field in ("clock", "cpu", "pause")))
        for name, taken in times.items()
    }
    for name, t in middle.items():
        print(f"{name:24} {t.clock:8.1f} ms   CPU {t.cpu:8.1f} ms   longest pause {t.pause:8.1f} ms")
    kept = True
    for name, other, most in RATIOS:
        ratio = middle[name].cpu / middle[other].cpu
        kept &= ratio <= most
        clock = middle[name].clock / middle[other].clock
        print(f"{name} / {other}: {ratio:.2f} of CPU, {clock:.2f} by the clock, at most {most}")
    for name, most in LIMITS:
        kept &= middle[name].clock <= most
        print(f"{name}: {middle[name].clock:.0f} ms, at most {most:.0f}")
    return kept


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(600, 512, 512))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with own_surroundings():
        times = measure(tuple(args.shape), args.repeats)
    if args.json:
        args.json.write_text(json.dumps({name: [asdict(t) for t in taken] for name, taken in times.items()}))
    return 0 if report(times) else 1


if __name__ == "__main__":
    sys.exit(main())
