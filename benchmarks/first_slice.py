"""From the click on a series to its first slice on the screen, in the real window, and what holds the window up.

    scripts/on_display.sh .venv/bin/python benchmarks/first_slice.py FOLDER [--repeats 3]

FOLDER is one that ``open_data.py`` has filled. Every measurement is a fresh process that opens a volume twice: as the
first image of its window and after another one. The files are scanned before the clock starts, as the application
does it, and lie in the page cache. The clock starts where the list calls the application and stops when the screen,
which another process looks at, shows another picture where the image is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

CASES = ("native", "jpeg2000", "volume.nii.gz")
OTHER = Path(__file__).resolve().parents[1] / "sample_data" / "torso-ct.nii.gz"
#: Seconds between two looks at the clock by the thread that draws.
TICK = 0.002
#: A hold of the event loop that a user may notice, seconds.
LONG = 0.05
COLUMNS = {
    "slice": "first slice s",
    "case": "open s",
    "longest_hold": "longest hold s",
    "long_holds": "holds over 50 ms, s in all",
    "gui_cpu": "CPU of the window's thread, s",
}
#: The least share of pixels that differ from the commonest one, and from before, where an image is drawn.
SEEN = 0.1
#: Difference of grey levels (0 to 255) that is none.
FAINT = 8
#: Seconds between two looks at the screen.
GLANCE = 0.02


class Screen:
    """Another process that tells when a part of the screen shows another picture.

    Parameters
    ----------
    widget
        The middle of which is looked at.
    """

    def __init__(self, widget: Any) -> None:
        place, size = widget.mapToGlobal(widget.rect().topLeft()), widget.size()
        middle = (
            place.x() + size.width() // 4,
            place.y() + size.height() // 4,
            size.width() // 2,
            size.height() // 2,
        )
        command = [sys.executable, __file__, "--look", *map(str, middle)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    @property
    def changed(self) -> bool:
        """Whether it has told."""
        return self._process.poll() is not None

    def time(self) -> float:
        """Return when it changed, on the clock of ``time.monotonic``."""
        assert self._process.stdout is not None
        return float(self._process.stdout.read())


def look(area: tuple[int, int, int, int]) -> None:
    """Print when an area (left, top, width, height) of the screen shows another picture than now."""
    import numpy as np
    from qtpy.QtGui import QGuiApplication, QImage

    app = QGuiApplication([])

    def grab() -> Any:
        picture = app.primaryScreen().grabWindow(0, *area).toImage().convertToFormat(QImage.Format.Format_Grayscale8)
        pixels = np.frombuffer(picture.constBits().asstring(picture.sizeInBytes()), np.uint8)
        return pixels.reshape(picture.height(), -1)[::3, ::3].astype(int)

    before = grab()
    print("looking", flush=True)
    while True:
        now, seen_at = grab(), time.monotonic()
        plain = (now == np.bincount(now.ravel()).argmax()).mean()
        if plain < 1 - SEEN and (np.abs(now - before) > FAINT).mean() > SEEN:
            print(seen_at, flush=True)
            return
        time.sleep(GLANCE)


class Watch:
    """Stops the time in a window: the first picture of an image, the open case, holds of the loop."""

    def __init__(self, app: Any, canvas: Any) -> None:
        from qtpy.QtCore import QTimer

        self._app, self._screen = app, Screen(canvas)
        self.start = self._last = time.monotonic()
        self._cpu = time.thread_time()
        self._case = 0.0
        self.holds: list[float] = []
        app.case_changed.connect(self._note_case)
        self._timer = QTimer()
        self._timer.setInterval(int(1000 * TICK))
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    @property
    def complete(self) -> bool:
        """Whether the image is shown and open and nothing runs any more."""
        return bool(self._case) and self._screen.changed and not self._app.jobs.active

    def stop(self) -> dict[str, float]:
        """Return the measurements, seconds."""
        self._timer.stop()
        self._app.case_changed.disconnect(self._note_case)
        return {
            "slice": self._screen.time() - self.start,
            "case": self._case - self.start,
            "longest_hold": max(self.holds),
            "long_holds": sum(hold for hold in self.holds if hold > LONG),
            "gui_cpu": time.thread_time() - self._cpu,
        }

    def _tick(self) -> None:
        now = time.monotonic()
        self.holds.append(now - self._last)
        self._last = now

    def _note_case(self) -> None:
        self._case = time.monotonic()


def measure(source: Path) -> list[dict[str, float]]:
    """Open a volume in a window of this process, twice with another one between, and return what both took."""
    import gc

    from napari.qt import QtViewer

    from napari_volseg.app import SessionStore
    from napari_volseg.app.opening import look_into
    from napari_volseg.core import CancelToken
    from napari_volseg.formats import scan
    from napari_volseg.widgets import create_window

    (found,), (other,) = scan(source).found, scan(OTHER).found
    _, app, panel = create_window(sessions=SessionStore(Path(tempfile.mkdtemp())))
    app.view.layout = "one"
    gc.freeze()
    canvas = panel.window().findChild(QtViewer).canvas.native

    def once() -> dict[str, float]:
        look_into(source, lambda _: None, CancelToken(), None, None, None)
        run_until(lambda: not app.jobs.active, least=2)
        watch = Watch(app, canvas)
        app.open_found(found)
        run_until(lambda: watch.complete)
        return watch.stop()

    first = once()
    app.open_found(other)
    return [first, once()]


def run_until(condition: Callable[[], bool], least: float = 0, most: float = 300) -> None:
    """Run the window's event loop until something is true."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, timer, start = QEventLoop(), QTimer(), time.perf_counter()

    def look() -> None:
        passed = time.perf_counter() - start
        if passed > most or (passed > least and condition()):
            loop.quit()

    timer.timeout.connect(look)
    timer.start(int(1000 * TICK))
    loop.exec()
    timer.stop()


def measure_apart(source: Path) -> list[dict[str, float]]:
    """Measure in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        own = {"XDG_DATA_HOME": folder, "XDG_CACHE_HOME": folder, "NAPARI_CONFIG": f"{folder}/settings.yaml"}
        command = [sys.executable, __file__, str(source), "--child"]
        done = subprocess.run(command, env=os.environ | own, stdout=subprocess.PIPE, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="filled by open_data.py")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=CASES)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--look", type=int, nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.look:
        look(tuple(arguments.look))
        return
    if arguments.child:
        print(json.dumps(measure(arguments.folder)), flush=True)
        os._exit(0)  # threads of the window don't hold the next measurement up
    print("| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|", sep="\n")
    for case in arguments.cases:
        runs = [measure_apart(arguments.folder / case) for _ in range(arguments.repeats)]
        for number, name in enumerate(("first image", "after another")):
            cells = (f"{median(run[number][key] for run in runs):.2f}" for key in COLUMNS)
            print(f"| {case}, {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
