"""What tools of the hand cost the interface's thread with each move of the mouse, and what each use takes in all.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/hand_tools.py

Drives a viewer model without a window over a CT of 300×512×512 voxels. Times of moves and presses are CPU time of the
thread; times of uses are of the clock. Drawing by the graphics card is not in them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks
from numpy.typing import NDArray

from napari_volseg.app import Application
from napari_volseg.core import Box, BoxMask, Geometry, Volume
from napari_volseg.editing import Author
from napari_volseg.viewer import ViewerBinding, canvas_lines

SHAPE, SPACING = (300, 512, 512), (1.5, 0.8, 0.8)
ORGAN = (150, 230, 200)
CANVAS = (900, 900)
#: Seconds between two moves, as a mouse makes them.
BETWEEN = 0.016


class LiveEvent:
    """An event that napari exchanges for the next one while a drag goes on."""

    def __init__(self, event: SimpleNamespace) -> None:
        object.__setattr__(self, "__wrapped__", event)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "__wrapped__"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        target = self if name == "__wrapped__" else object.__getattribute__(self, "__wrapped__")
        object.__setattr__(target, name, value)


def volume() -> Volume:
    """A noisy body with a ball in it."""
    z, y, x = np.ogrid[tuple(slice(n) for n in SHAPE)]
    voxels = np.where((y - 256) ** 2 + (x - 256) ** 2 < 200**2, 40, -1000).astype(np.int16)
    voxels = voxels + ((y - 230) ** 2 + (x - 200) ** 2 + ((z - 150) * 2) ** 2 < 80**2) * np.int16(60)
    voxels += np.random.default_rng(0).integers(-12, 12, SHAPE, dtype=np.int16)
    return Volume(voxels, Geometry.from_spacing(SHAPE, SPACING), "CT", "HU", "HU", "benchmark")


def circle(count: int, radius: float = 80) -> list[tuple[float, float, float]]:
    """Voxels (z, y, x) around the organ's border."""
    z, y, x = ORGAN
    return [(z, y + radius * np.sin(a), x + radius * np.cos(a)) for a in np.linspace(0, 2 * np.pi, count)]


def main() -> None:
    """Measure all tools and print a table."""
    app, viewer = Application(), ViewerModel()
    app.adopt(volume())
    app.case.add_segment("Organ")
    binding = ViewerBinding(app, viewer)
    viewer.dims.set_current_step(range(3), ORGAN)
    hand = Hand(app, viewer)
    print(f"{'on the thread of the interface':<34}{'median ms':>10}{'95 %':>8}{'most':>8}")
    for tool in ("polygon", "livewire", "level"):
        tell(f"{tool}: move", hover_along(hand, tool))
    tell("livewire: press without a search", presses(hand))
    tell("lasso: move, up to 1000 points", dragged(hand, "lasso", 1000))
    app.tools.hand_reach, app.tools.hand_slab_mm, app.tools.radius_mm = "slab", 15.0, 12.0
    tell("brush: move, slab of ±15 mm", dragged(hand, "brush", 200))
    app.tools.hand_reach = "volume"
    print(f"\n{'each use':<34}{'seconds':>10}{'voxels':>12}")
    uses(hand)
    binding.close()
    app.close()


class Hand:
    """A mouse over the viewer model."""

    def __init__(self, app: Application, viewer: ViewerModel) -> None:
        self.app, self.viewer = app, viewer

    def event(self, kind: str, index: tuple[float, float, float], *, dragging: bool = False) -> SimpleNamespace:
        """Return what napari tells of the mouse over a voxel."""
        position = tuple(i * s for i, s in zip(index, SPACING, strict=True))
        return SimpleNamespace(
            type=kind,
            position=position,
            pos=position[1:],
            button=1,
            modifiers=(),
            is_dragging=dragging,
            handled=False,
        )

    def timed(self, action: Callable[..., object], *args: Any) -> float:
        """Return the CPU time, ms, of an event and of laying out what is then drawn."""
        start = time.thread_time()
        action(*args)
        sketch = self.app.drawing.sketch
        if sketch is not None:
            canvas_lines(self.app, self.viewer, sketch, CANVAS)
        return (time.thread_time() - start) * 1000


def hover_along(hand: Hand, tool: str) -> list[float]:
    """Move along the organ's border with a tool in hand, and an outline begun where it draws one."""
    hand.app.tools.tool = tool
    if tool != "level":
        for place in circle(9)[:5]:
            hand.app.drawing.press(place, 0)
    times = []
    for place in circle(150):
        taken = hand.timed(mouse_move_callbacks, hand.viewer, hand.event("mouse_move", place))
        time.sleep(BETWEEN)
        times.append(taken + hand.timed(hand.app.jobs.inbox.pump))
    hand.app.drawing.abandon()
    return times


def presses(hand: Hand) -> list[float]:
    """Set points of a livewire faster than their wires are searched."""
    hand.app.tools.tool = "livewire"
    times = [hand.timed(hand.app.drawing.press, place, 0) for place in circle(16)]
    hand.app.drawing.abandon()
    return times[1:]


def dragged(hand: Hand, tool: str, count: int) -> list[float]:
    """Draw around the organ with the button held."""
    hand.app.tools.tool = tool
    first, *rest = circle(count)
    mouse_press_callbacks(hand.viewer, LiveEvent(hand.event("mouse_press", first)))
    times = [hand.timed(mouse_move_callbacks, hand.viewer, hand.event("mouse_move", p, dragging=True)) for p in rest]
    mouse_release_callbacks(hand.viewer, hand.event("mouse_release", rest[-1]))
    hand.app.jobs.wait()
    return times


def uses(hand: Hand) -> None:
    """Use each tool once, in 3D."""
    app = hand.app
    clear(app)
    app.tools.tool = "lasso"
    outline(app, 300)
    use(app, "lasso through all slices", app.drawing.close)
    for tool in ("grow", "level"):
        clear(app)
        app.tools.tool = tool
        use(app, f"{tool} from a click", lambda: app.drawing.click(darkest(app), 0))
    blocks = np.zeros(SHAPE, bool)
    blocks[20:280, 100:400, 100:400] = True
    blocks[:, :, 250:252] = False
    for tool in ("keep-island", "remove-island"):
        clear(app, BoxMask.of(blocks))
        app.tools.tool = tool
        use(app, tool, lambda: app.drawing.click(ORGAN, 0))
    clear(app, BoxMask.of(blocks))
    app.tools.tool = "scissors"
    outline(app, 300)
    use(app, "scissors", app.drawing.close)


def darkest(app: Application) -> tuple[int, int, int]:
    """Return the darkest voxel near the middle of the organ, whose level encloses all of it."""
    z, y, x = ORGAN
    near = app.case.volume.voxels[z, y - 9 : y + 10, x - 9 : x + 10]
    row, column = np.unravel_index(np.argmin(near), near.shape)
    return z, y - 9 + int(row), x - 9 + int(column)


def outline(app: Application, count: int) -> None:
    """Draw a circle that is not closed yet."""
    first, *rest = circle(count)
    app.drawing.press(first, 0)
    for place in rest:
        app.drawing.move(place)


def clear(app: Application, mask: BoxMask | None = None) -> None:
    """Let the segment be a mask, or nothing."""
    author = Author("tool", "benchmark")
    whole = BoxMask(Box.whole(SHAPE), np.broadcast_to(np.ones(1, bool), SHAPE))
    app.case.session.apply(whole, 0, name="Clear", author=author)
    if mask is not None:
        app.case.session.apply(mask, 1, name="Draw", author=author)


def use(app: Application, name: str, action: Callable[[], Any]) -> None:
    """Use a tool, wait for its step and print what it took."""
    before: NDArray[Any] = app.case.segmentation.labels.copy()
    start = time.perf_counter()
    app.jobs.wait(action())
    taken = time.perf_counter() - start
    print(f"{name:<34}{taken:>10.2f}{np.count_nonzero(before != app.case.segmentation.labels):>12,}")


def tell(name: str, times: list[float]) -> None:
    """Print a row of times, ms."""
    print(f"{name:<34}{np.median(times):>10.2f}{np.percentile(times, 95):>8.2f}{max(times):>8.2f}")


if __name__ == "__main__":
    main()
