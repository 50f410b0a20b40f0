"""Editing as a user meets it, in layers of a viewer: this project against napari.

    python benchmarks/editing_layers.py [--slices 300] [--repeats 5] [--json FILE]

Both are worked at the level of napari's ``ViewerModel``, that is, all but the drawing of pixels: a layer of napari's
by its own ``paint``, ``data_setitem``, ``fill`` and ``undo``, ours by what the mouse calls. They take turns, and CPU
time of the whole process is counted. Napari gets labels of 8, 16 and 32 bits.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import tempfile
import threading
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from editing_data import VALUE, organ
from napari.components import ViewerModel

from napari_volseg.app import Application, SessionStore
from napari_volseg.core import Box, BoxMask, Geometry, Volume
from napari_volseg.editing import Author
from napari_volseg.viewer import ViewerBinding

TYPES = ("uint8", "uint16", "int32")
OURS = "napari-volseg"
#: Beginning of an operation's name, whom it is compared with, and the share of their time that ours may take.
BARS = (
    ("2D dab", "uint8", 1.0),
    ("2D dab", "uint16", 1.0),
    ("2D stroke", "uint8", 1.0),
    ("2D stroke", "uint16", 1.0),
    ("sphere stroke", "uint8", 1.0),
    ("sphere stroke", "uint16", 1.0),
    ("organ, undo", "uint16", 0.3),
    ("organ in 3D, undo", "int32", 0.1),
)
#: Share of napari's memory for 100 organ-sized edits that this project may take.
MEMORY = 1 / 40
#: No call may hold the thread of the window for longer, ms.
LONGEST_MS = 16.0
SAME = 1.2
HAND = Author("hand", "benchmark")
#: Positions of the mouse in one stroke; voxels between two of them.
MOVES, STEP = 30, 8.0
#: Organ-sized edits whose memory is compared.
EDITS = 100
#: A hand is no faster, seconds.
PAUSE = 0.1

Shape = tuple[int, int, int]
Times = dict[str, float]
Measured = dict[str, dict[str, list[Times]]]


def way(shape: Shape, seed: int) -> np.ndarray:
    """Return the positions of a stroke in the middle slice, (n, 3)."""
    rng = np.random.default_rng(seed)
    turns = np.cumsum(rng.normal(0, 0.4, MOVES))
    steps = STEP * np.stack([np.sin(turns), np.cos(turns)], 1)
    middle = np.array(shape[1:]) / 2
    path = middle + np.clip(np.cumsum(steps, 0) - steps.sum(0) / 2, -middle + 32, middle - 32)
    return np.column_stack([np.full(MOVES, shape[0] // 2), path])


class Napari:
    """A labels layer of napari's in a viewer of its own."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_labels(np.zeros(shape, dtype))
        self.viewer.dims.set_current_step(0, shape[0] // 2)

    def take(self, diameter: int, in_3d: bool) -> None:
        self.layer.brush_size, self.layer.n_edit_dimensions = diameter, 3 if in_3d else 2

    def dab(self, place: np.ndarray, value: int) -> None:
        self.layer.paint(tuple(place), value)

    def lift(self) -> None:
        """Do nothing: each dab is a step of its own."""

    click = dab

    def stroke(self, path: np.ndarray, value: int) -> None:
        """Do what its mouse binding does: a dab for each quarter of the brush, one refresh for each position."""
        layer = self.layer
        with layer.block_history():
            for last, place in zip(path[:1].tolist() + path[:-1].tolist(), path, strict=True):
                count = max(1, round(float(np.abs(place - last).max()) / layer.brush_size * 4))
                for i in range(1, count + 1):
                    layer.paint(tuple(last + i / count * (place - last)), value, refresh=i == count)

    def put(self, box: Box, mask: np.ndarray, value: int) -> None:
        """Make an organ-sized edit by what napari offers to programs."""
        places = np.nonzero(mask)
        self.layer.data_setitem(tuple(p + a for p, a in zip(places, box.start, strict=True)), value)

    def undo(self) -> None:
        self.layer.undo()

    def show_3d(self) -> None:
        self.viewer.dims.ndisplay = 3


class Filling(Napari):
    """The same, where organ-sized edits are fills, of which napari keeps a mask rather than indices."""

    def put(self, box: Box, mask: np.ndarray, value: int) -> None:
        seed = np.argwhere(mask)[np.count_nonzero(mask) // 2] + box.start
        self.layer.data[box.slices][mask] = self.layer.data.dtype.type(value + 1)
        self.layer.n_edit_dimensions = 3
        self.layer.fill(tuple(seed.tolist()), value)


class Ours:
    """The application with a viewer."""

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.app = Application(sessions=SessionStore(folder, ()))
        self.viewer = ViewerModel()
        self.binding = ViewerBinding(self.app, self.viewer)
        voxels = np.zeros(shape, np.int16)
        voxels[0, 0, :2] = 100, 200
        volume = Volume(voxels, Geometry.from_spacing(shape, (1.0, 1.0, 1.0)), "CT", "HU", "HU", "benchmark")
        self.app.jobs.wait(self.app.open_volume(volume))
        self.viewer.dims.set_current_step(0, shape[0] // 2)
        while len(self.app.case.table) < 2 * VALUE:
            self.app.case.add_segment()
        self.app.tools.tool = "brush"

    def take(self, diameter: int, in_3d: bool) -> None:
        self.app.tools.radius_mm, self.app.tools.hand_reach = diameter / 2, "volume" if in_3d else "slice"

    def dab(self, place: np.ndarray, value: int) -> None:
        self.app.case.active = value
        self.app.painter.press(place, 0)
        self.app.jobs.inbox.pump()

    def move(self, place: np.ndarray) -> None:
        self.app.painter.move(place)
        self.app.jobs.inbox.pump()

    def lift(self) -> None:
        self.app.painter.release()
        self.app.jobs.inbox.pump()

    def click(self, place: np.ndarray, value: int) -> None:
        self.dab(place, value)
        self.lift()

    def stroke(self, path: np.ndarray, value: int) -> None:
        self.dab(path[0], value)
        for place in path[1:]:
            self.move(place)
        self.lift()

    def put(self, box: Box, mask: np.ndarray, value: int) -> None:
        self.app.case.session.apply(BoxMask(box, mask), value, name="Organ", author=HAND)
        self.app.jobs.inbox.pump()

    def undo(self) -> None:
        self.app.undo()
        self.app.jobs.inbox.pump()

    def show_3d(self) -> None:
        self.app.view.three_d = True

    def close(self) -> None:
        self.binding.close()
        self.app.close()


Hand = Napari | Ours


def timed(work: Callable[..., object], *of: Any) -> Times:
    """Return what a call took: CPU of the calling thread and of the process, and time on the clock, ms."""
    thread, process, wall = time.thread_time(), time.process_time(), time.perf_counter()
    work(*of)
    took = time.thread_time() - thread, time.process_time() - process, time.perf_counter() - wall
    return dict(zip(("thread_ms", "process_ms", "wall_ms"), (1e3 * t for t in took), strict=True))


def measure_brushes(hands: Mapping[str, Hand], shape: Shape, rounds: int) -> Measured:
    """Return operation to hand to measurements of dabs and strokes, all hands in turns."""
    results: Measured = defaultdict(lambda: defaultdict(list))
    for seed in range(rounds):
        path, value = way(shape, seed), 1 + seed % 2
        for diameter, in_3d in ((20, False), (100, False), (20, True), (60, True)):
            kind = f"{'sphere' if in_3d else '2D'} {{}} {diameter}"
            for name, hand in hands.items():
                hand.take(diameter, in_3d)
                note = {of: results[kind.format(of)][name].append for of in ("dab", "click", "stroke", "stroke undo")}
                for place in path[::8]:
                    note["dab"](timed(hand.dab, place, value))
                    hand.lift()
                    note["click"](timed(hand.click, place, 3 - value))
                note["stroke"](timed(hand.stroke, path, value))
                note["stroke undo"](timed(hand.undo))
    return results


def organ_in(shape: Shape) -> tuple[Box, np.ndarray]:
    """Return where the organ lies in the middle of a volume, and its mask."""
    mask = organ()
    start = [(n - m) // 2 for n, m in zip(shape, mask.shape, strict=True)]
    return Box.of(start, np.add(start, mask.shape)), mask


def measure_organs(hands: Mapping[str, Hand], shape: Shape, rounds: int, name: str) -> Measured:
    """Return operation to hand to measurements of organ-sized edits and their undoing."""
    box, mask = organ_in(shape)
    results: Measured = defaultdict(lambda: defaultdict(list))
    for _ in range(rounds):
        for who, hand in hands.items():
            results[name][who].append(timed(hand.put, box, mask, VALUE))
            time.sleep(PAUSE)
            results[f"{name}, undo"][who].append(timed(hand.undo))
    return results


def undo_bytes(hand: Hand, shape: Shape, edits: int) -> int:
    """Return by how much memory grows with organ-sized edits, bytes; the labels themselves were there before."""
    box, mask = organ_in(shape)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(edits):
        hand.put(box, mask, 1 + number % 2)
    time.sleep(20 * PAUSE)  # what keeps the session file tidy holds memory for a moment
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown


def holds(ours: Ours, shape: Shape, strokes: int, *, infer: bool) -> list[float]:
    """Return for how long each call of some strokes held the window's thread, ms on the clock.

    Calls in whose midst the system gave the processor to another program are left out; waiting for other threads of
    this one is not.
    """
    stop, took = threading.Event(), []

    def hold(work: Callable[..., object], *of: Any) -> None:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
        times = timed(work, *of)
        if resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw == before:
            took.append(times["wall_ms"])

    network = threading.Thread(target=_infer, args=(stop,)) if infer else None
    if network is not None:
        network.start()
        time.sleep(2)
    for seed in range(strokes):
        path, value = way(shape, seed), 1 + seed % 2
        ours.take((20, 60)[seed % 2], in_3d=seed % 4 == 1)
        hold(ours.dab, path[0], value)
        for place in path[1:]:
            hold(ours.move, place)
            time.sleep(PAUSE / 25)
        hold(ours.lift)
    stop.set()
    if network is not None:
        network.join()
    return took


def _infer(stop: threading.Event) -> None:
    """Run a network over patches until told to stop."""
    import torch

    layers = [torch.nn.Conv3d(a, b, 3, padding=1) for a, b in ((1, 16), (16, 16), (16, 2))]
    network, patch = torch.nn.Sequential(*layers), torch.zeros(1, 1, 64, 64, 64)
    with torch.inference_mode():
        while not stop.is_set():
            network(patch).argmax(1).numpy()


def middle(runs: Sequence[Times], key: str = "thread_ms") -> float:
    """Return the median of a measure."""
    return median(run[key] for run in runs)


def table(measured: Measured) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| operation | by | window's thread ms | all threads ms | wall ms | ours / theirs |"
    yield "|---|---|---|---|---|---|"
    for name, runs in measured.items():
        for who, of in runs.items():
            ratio = "" if who == OURS else f"{middle(runs[OURS]) / middle(of):.2f}"
            times = " | ".join(f"{middle(of, key):.2f}" for key in ("thread_ms", "process_ms", "wall_ms"))
            yield f"| {name} | {who} | {times} | {ratio} |"


def verdicts(measured: Measured) -> Iterator[str]:
    """Yield one line per bar that is reached or missed."""
    for beginning, who, most in BARS:
        for name, runs in measured.items():
            if name.startswith(beginning) and who in runs and not name.endswith("stroke undo"):
                yield verdict(f"{name}: at most {most} of {who}", middle(runs[OURS]) / middle(runs[who]), most)


def verdict(text: str, value: float, most: float) -> str:
    """Return one line: reached or missed."""
    return f"- {'reached' if value <= most else 'MISSED'}: {text} (is {value:.4g})"


def compare_places(folder: Path, rounds: int) -> Iterator[str]:
    """Yield whether strokes and organ-sized edits take as long in a small and in a large volume."""
    shapes = ((128, 128, 128), (600, 512, 512))
    hands = {str(shape): Ours(shape, folder / str(shape)) for shape in shapes}
    box, mask = organ_in(shapes[0])
    path = way(shapes[0], 1)
    took: dict[str, dict[str, list[Times]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for where, hand in hands.items():
            hand.take(20, in_3d=False)
            shift = np.subtract(shapes[where != str(shapes[0])], shapes[0]) // 2
            took["stroke"][where].append(timed(hand.stroke, path + shift, 1 + number % 2))
            took["organ"][where].append(timed(hand.put, box.shift(shift.tolist()), mask, VALUE))
            time.sleep(PAUSE)
            took["organ, undo"][where].append(timed(hand.undo))
    for hand in hands.values():
        hand.close()
    for name, runs in took.items():
        few, many = (middle(of) for of in runs.values())
        yield verdict(
            f"{name}: {many:.2f} ms in {shapes[1]}, {few:.2f} ms in {shapes[0]}",
            max(few, many) / min(few, many),
            SAME,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300, help="of 512×512 (default 300)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write all measurements")
    arguments = parser.parse_args()
    shape, repeats = (arguments.slices, 512, 512), arguments.repeats
    lines, measured = [], {}
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(shape, Path(folder, "ours"))
        flat = {OURS: ours, **{dtype: Napari(shape, dtype) for dtype in TYPES}}
        measured |= measure_brushes(flat, shape, 4 * repeats)
        measured |= measure_organs(flat, shape, repeats, "organ")
        for infer in (False, True):
            took = holds(ours, shape, 8 * repeats, infer=infer)
            what = f"longest of {len(took)} calls in strokes{' while a network runs' * infer}, ms"
            lines.append(
                verdict(
                    f"{what} (median {median(took):.2f}, 99 % {np.quantile(took, 0.99):.2f})", max(took), LONGEST_MS
                )
            )
        sizes = {name: undo_bytes(hand, shape, EDITS) for name, hand in flat.items()}
        filling = {OURS: ours, "uint16": Filling(shape, "uint16")}
        measured |= measure_organs(filling, shape, repeats, "organ, filled")
        sizes["uint16, filled"] = undo_bytes(filling["uint16"], shape, EDITS)
        for name in sizes.keys() - {OURS}:
            what = f"{EDITS} organ-sized edits: {sizes[OURS] / 2**20:.1f} MiB, {name} {sizes[name] / 2**20:.0f} MiB"
            lines.append(verdict(what, sizes[OURS] / sizes[name], MEMORY))
        for name in ("uint8", "uint16"):
            del flat[name]
        for hand in flat.values():
            hand.show_3d()
        measured |= measure_organs(flat, shape, repeats, "organ in 3D")
        ours.close()
        del flat, filling, ours
        lines += compare_places(Path(folder), 4 * repeats)
    print(f"{'×'.join(map(str, shape))}\n", *table(measured), "", *verdicts(measured), *lines, sep="\n")
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps({"shape": shape, "measurements": measured, "undo_bytes": sizes}, indent=1)
        )


if __name__ == "__main__":
    main()
