"""The real window, worked with real mouse strokes, killed at random moments."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_volseg.app import Application, SessionStore
from napari_volseg.app.recovery import recover

SHAPE = (40, 36, 12)
#: The window gets so long to open, and is killed within so long after it began to work, seconds.
PATIENCE, LONGEST = 180.0, 4.0


def make_image(path: Path) -> Path:
    """Write an image with random values and return its path."""
    voxels = np.random.default_rng(3).integers(-50, 80, SHAPE).astype(np.int16)
    image = nib.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def digest(labels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]


class Robot:
    """What a hand asks of pytest-qt's robot."""

    def waitUntil(self, condition, timeout: int) -> None:
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + timeout / 1000
        while not condition():
            QApplication.processEvents()
            time.sleep(0.002)
            if time.monotonic() > end:
                raise TimeoutError("waited in vain")


def worker(image: str, sessions: str, seed: str) -> None:
    """Open the window and paint until killed; tell each state that is on disk."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "gui"))
    from driving import Hand
    from qtpy.QtCore import Qt

    from napari_volseg.widgets import create_window

    viewer, app, panel = create_window(Path(image), sessions=SessionStore(Path(sessions)))
    panel.window().resize(1200, 760)
    hand = Hand(viewer, app, panel, Robot())
    hand.wait(lambda: app.case is not None)
    hand.settle()
    session, dice = app.case.session, random.Random(seed)
    session.history_changed.connect(lambda: print("issued", digest(app.case.segmentation.labels), flush=True))
    tell(app, "working")
    while True:
        if dice.random() < 0.2 and session.history.can_undo:
            hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        else:
            hand.key(dice.choice((Qt.Key.Key_B, Qt.Key.Key_B, Qt.Key.Key_E)))
            z, y, x = (dice.randrange(4, n - 4) for n in app.case.volume.geometry.shape)
            target = (z, min(y + dice.randrange(8), 34), x)
            hand.drag((z, y, x), target, steps=dice.randrange(2, 8))
        if app._journal.flush():
            tell(app, "acked")


def tell(app: Application, word: str) -> None:
    history = app.case.session.history
    print(word, digest(app.case.segmentation.labels), history.position, len(history.steps), flush=True)


def kill_app(kills: int, seed: int, folder: Path) -> dict:
    """Kill many windows on one image; return counts."""
    result = {"kills": 0, "acknowledged": 0, "recovered": 0, "lost": 0, "beyond acknowledged": 0, "wrong": []}
    dice, image, sessions = random.Random(seed), make_image(folder / "image.nii.gz"), folder / "sessions"
    for kill in range(kills):
        lines = run_and_kill(image, sessions, f"{seed}-{kill}", dice.uniform(0.2, LONGEST), folder)
        acked = [line for line in lines if line[0] in ("working", "acked")]
        wrong = compare(sessions, lines, acked[-1]) if acked else "the window did not open"
        result["kills"] += 1
        result["acknowledged"] += len(acked) - 1
        if wrong:
            result["lost"] += 1
            result["wrong"].append(f"kill {kill}: {wrong}")
            break
        result["recovered"] += len(acked) - 1
        print(f"kill {kill}: {len(acked) - 1} acknowledged", file=sys.stderr, flush=True)
    return result


def run_and_kill(image: Path, sessions: Path, seed: str, lifetime: float, folder: Path) -> list[list[str]]:
    """Return what a window told before it was killed, in words."""
    environment = {
        **os.environ,
        "NAPARI_CONFIG": str(folder / "settings.yaml"),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    command = [sys.executable, __file__, str(image), str(sessions), seed]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    first = process.stdout.readline()
    end = time.monotonic() + PATIENCE
    while first and not first.startswith("working") and time.monotonic() < end:
        first = process.stdout.readline()
    time.sleep(lifetime)
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    return [line.split() for line in (first + rest).splitlines() if line.split()]


def compare(sessions: Path, lines: list[list[str]], last: list[str]) -> str:
    """Return what is wrong with the session that a window left, empty where nothing is."""
    (file,) = sessions.glob("*.volseg")
    found = recover(file)
    behind = lines[lines.index(last) :]
    if digest(found.labels) not in {line[1] for line in behind}:
        return f"the labels are none of those since {last}"
    replayed = np.zeros_like(found.labels)
    for step in found.steps[: found.position]:
        step.apply_to(replayed)
    return "" if np.array_equal(replayed, found.labels) else "the labels are not those of their steps"


if __name__ == "__main__":
    worker(*sys.argv[1:])
