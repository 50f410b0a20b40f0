"""A disk that stops answering under an open session: is it told, is work kept, and does all come home?

    python benchmarks/hang.py

Preloads ``failing_calls.c``, so that every write and sync in the session's folder waits as long as the disk hangs,
while the application is worked without a window. Prints how long it took to tell, whether any call of the thread that
edits was held up, and what is in which file. Needs Linux and a C compiler.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from faults import load_library

from napari_volseg.app import Application, SessionStore
from napari_volseg.app.recovery import recover
from napari_volseg.core import Geometry, Volume

PATIENCE = 20.0


class Worker:
    """An application at work on one image, without a window."""

    def __init__(self, home: Path, spare: Path) -> None:
        self.app = Application(sessions=SessionStore(home, (spare,)))
        self.told: list[tuple[float, str]] = []
        self.app.noticed.connect(lambda notice: self.told.append((time.monotonic(), notice.text)))
        voxels = np.arange(6 * 20 * 24, dtype=np.int16).reshape(6, 20, 24)
        volume = Volume(voxels, Geometry.from_spacing(voxels.shape, (4, 2, 2)), "CT", "HU", "HU", "benchmark")
        self.app.jobs.wait(self.app.open_volume(volume))
        self.app.tools.tool = "brush"
        self.longest = 0.0

    def paint(self, *index: int) -> None:
        begun = time.monotonic()
        self.app.painter.press(np.array(index, float), 0)
        self.app.painter.release()
        self.longest = max(self.longest, time.monotonic() - begun)

    def pump(self, words: str) -> float:
        """Run what other threads post until something is told; return when, seconds from now."""
        begun = time.monotonic()
        while not any(words in text for _, text in self.told):
            self.app.jobs.inbox.pump(0.01)
            if time.monotonic() > begun + PATIENCE:
                sys.exit(f'"{words}" was not told in {PATIENCE} s; told: {self.told}')
        return next(when for when, text in self.told if words in text) - begun


def run(folder: Path) -> dict:
    """Work, let the disk hang, work on, let it go on; return what happened."""
    home, spare, hung = folder / "home", folder / "spare", folder / "hung"
    os.environ.update(FAIL_PART=str(home), FAIL_WHILE=str(hung))
    worker = Worker(home, spare)
    session = worker.app.case.session
    worker.paint(3, 10, 10)
    saved = session._journal.flush()
    hung.touch()
    worker.paint(3, 5, 20)
    told = worker.pump("can't be saved")
    worker.pump(str(spare))
    worker.paint(2, 4, 4)
    kept = session._journal.flush()
    (stray,) = spare.glob("*.volseg")
    copy = folder / "copy"
    copy.mkdir()
    for part in spare.iterdir():
        (copy / part.name).write_bytes(part.read_bytes())
    in_spare = len(recover(copy / stray.name).steps)
    hung.unlink()
    home_after = worker.pump("saved again")
    worker.paint(1, 8, 8)
    steps, labels = len(session.history.steps), worker.app.case.segmentation.labels.copy()
    worker.app.close()
    found = recover(next(home.glob("*.volseg")))
    return {
        "saved before": saved,
        "told after s": round(told, 3),
        "kept in the spare folder meanwhile": kept,
        "steps there": in_spare,
        "home again after s": round(home_after, 3),
        "steps at home": len(found.steps),
        "steps made": steps,
        "same labels": bool(np.array_equal(found.labels, labels)),
        "left in the spare folder": sorted(p.name for p in spare.iterdir()),
        "longest stroke ms": round(1e3 * worker.longest, 1),
    }


def main() -> int:
    if "failing_calls" not in os.environ.get("LD_PRELOAD", ""):
        load_library(Path(tempfile.mkdtemp()))
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder))
    print(json.dumps(result, indent=2))
    whole = result["same labels"] and result["steps at home"] == result["steps made"] == result["steps there"] + 1
    return 0 if whole and result["told after s"] < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
