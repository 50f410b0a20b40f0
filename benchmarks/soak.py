"""Work for a long day in one process: memory, open files and threads must stay as they were.

    python benchmarks/soak.py --json soak.json

Strokes, slice changes and exports at the level of napari's ``ViewerModel``, with the session file on disk and a
history of limited bytes. Memory counts from when a tenth of the work is done: before, caches and history fill.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from napari.components import ViewerModel

from napari_volseg.app import Application, SessionStore
from napari_volseg.app.recovery import recover
from napari_volseg.core import Geometry, Volume
from napari_volseg.viewer import ViewerBinding

SHAPE = (60, 128, 128)
ROUNDS = 500
#: Compressed bytes of steps that the history holds: small, so that it is full when counting begins.
HISTORY_BYTES = 1 << 20
#: Memory may grow by this share.
GROWTH = 0.10


class Soak:
    """One process at work; ``measure`` appends to ``samples``."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.dice = folder, random.Random(seed)
        self.process, self.samples = psutil.Process(), []
        voxels = np.random.default_rng(seed).integers(-100, 300, SHAPE).astype(np.int16)
        self.app = Application(sessions=SessionStore(folder / "sessions", ()))
        self.viewer = ViewerModel()
        self.binding = ViewerBinding(self.app, self.viewer)
        volume = Volume(voxels, Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0)), "CT", "HU", "HU", "soak")
        self.app.jobs.wait(self.app.open_volume(volume))
        session = self.app.case.session
        session._history = type(session.history)(byte_budget=HISTORY_BYTES)
        self.done = {"strokes": 0, "slices": 0, "saves": 0}

    def stroke(self) -> None:
        dice, app = self.dice, self.app
        app.tools.tool = dice.choice(("brush", "brush", "brush", "eraser"))
        app.tools.radius_mm = dice.choice((2.0, 4.0, 8.0))
        app.tools.hand_reach = "volume" if dice.random() < 0.1 else "slice"
        z, y, x = (dice.uniform(12, n - 12) for n in SHAPE)
        app.painter.press(np.array((z, y, x)), 0)
        for _ in range(6):
            y, x = y + dice.uniform(-6, 6), x + dice.uniform(-6, 6)
            app.painter.move(np.array((z, y, x)))
        app.painter.release()
        if dice.random() < 0.1:
            app.undo()
        app.jobs.inbox.pump()
        self.done["strokes"] += 1

    def change_slice(self) -> None:
        axis = self.viewer.dims.order[0]
        self.viewer.dims.set_current_step(axis, self.dice.randrange(SHAPE[axis]))
        self.app.jobs.inbox.pump()
        self.done["slices"] += 1

    def save(self) -> None:
        target = self.folder / f"labels-{self.done['saves'] % 3}.nii.gz"
        self.app.jobs.wait(self.app.export("nifti", target))
        self.done["saves"] += 1

    def measure(self) -> None:
        gc.collect()
        self.samples.append(
            {
                **self.done,
                "rss_mib": round(self.process.memory_info().rss / 2**20, 1),
                "files": self.process.num_fds() if hasattr(self.process, "num_fds") else 0,
                "threads": threading.active_count(),
                "steps": len(self.app.case.session.history.steps),
                "seconds": round(time.perf_counter(), 1),
            }
        )

    def run(self, strokes: int, slices: int, saves: int) -> None:
        for number in range(ROUNDS):
            self.app.view.plane = ("axial", "coronal", "sagittal")[number % 3]
            for done, wanted, act in (
                ("strokes", strokes, self.stroke),
                ("slices", slices, self.change_slice),
                ("saves", saves, self.save),
            ):
                while self.done[done] < (number + 1) * wanted // ROUNDS:
                    act()
            if number % 10 == 9:
                self.measure()
                print(json.dumps(self.samples[-1]), file=sys.stderr, flush=True)

    def close(self) -> bool:
        """End the program; return whether the session file holds exactly what was seen."""
        labels = self.app.case.segmentation.labels.copy()
        self.binding.close()
        self.app.close()
        (file,) = (self.folder / "sessions").glob("*.volseg")
        return np.array_equal(recover(file).labels, labels)


def verdict(samples: list[dict], kept: bool) -> dict:
    """Return growth and what changed from a tenth of the work on."""
    settled = samples[len(samples) // 10 :]
    memory = [s["rss_mib"] for s in settled]
    third = max(1, len(memory) // 3)
    growth = float(np.median(memory[-third:]) / np.median(memory[:third]) - 1)
    files, threads = ({s[key] for s in settled} for key in ("files", "threads"))
    return {
        **{key: samples[-1][key] for key in ("strokes", "slices", "saves")},
        "rss_mib": [min(memory), max(memory)],
        "growth": round(growth, 4),
        "files": sorted(files),
        "threads": sorted(threads),
        "session_is_exact": bool(kept),
        "passed": bool(growth <= GROWTH and max(memory) <= min(memory) * (1 + GROWTH) and kept)
        and len(files) == len(threads) == 1,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=15_000)
    parser.add_argument("--slices", type=int, default=40_000)
    parser.add_argument("--saves", type=int, default=500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder))
        soak.run(options.strokes, options.slices, options.saves)
        result = verdict(soak.samples, soak.close())
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps({"result": result, "samples": soak.samples}, indent=1))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
