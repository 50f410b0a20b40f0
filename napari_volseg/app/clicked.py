"""Tools that act where the image is clicked: fill, level tracing, region growing, the islands of a segment."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.app.case import Case
from napari_volseg.app.using import HAND, Setting, Use, Work, target
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import BoxMask, CancelToken, ProgressCallback, UsageError
from napari_volseg.editing import (
    Author,
    Between,
    OnSlice,
    Scope,
    Tolerance,
    fill_region,
    grow_region,
    keep_island,
    range_around,
    scope_box,
    shape_of,
    sphere,
    trace_level,
)

ClickedTool = Literal["fill", "level", "grow", "keep-island", "remove-island"]
CLICKED_TOOLS: tuple[ClickedTool, ...] = get_args(ClickedTool)

TITLES: dict[ClickedTool, str] = {
    "fill": "Fill",
    "level": "Trace level",
    "grow": "Grow region",
    "keep-island": "Keep island",
    "remove-island": "Remove island",
}

#: How far around a click the tissue is looked at, mm.
TISSUE_MM = 3.0

Voxel = tuple[int, int, int]
Line = NDArray[np.float64]


def click_use(
    tool: ClickedTool, case: Case, wishes: ToolWishes, index: ArrayLike, axis: int, takes_away: bool = False
) -> Use:
    """Return what a click at a voxel index (z, y, x), fractional, on a slice normal to ``axis`` asks for.

    Raises
    ------
    UsageError
        Where the click lies outside the image, or not on an island of the active segment.
    """
    voxel = _voxel(case, index)
    on = OnSlice(axis, voxel[axis])
    scope = case.scope(wishes, on)
    if tool in ("keep-island", "remove-island"):
        _refuse_elsewhere(case, voxel)
        takes_away = True
    return Use(
        TITLES[tool],
        _work(tool, case, wishes, voxel, axis, scope),
        takes_away,
        under=case.label_at(voxel),
        author=HAND if tool == "fill" else Author("tool", tool),
        parameters=_parameters(tool, wishes, voxel, axis),
    )


def level_outline(case: Case, wishes: ToolWishes, voxel: Voxel, axis: int) -> tuple[Line, ...]:
    """Return the outline of the level under a voxel on its slice: closed lines (n, 3), voxel indices (z, y, x)."""
    return outline_of(trace_level(case.volume.voxels, voxel, axis, wishes.level_side), axis)


def outline_of(mask: BoxMask, axis: int) -> tuple[Line, ...]:
    """Return the borders of a mask of one slice as closed lines (n, 3), voxel indices (z, y, x)."""
    from skimage.measure import find_contours

    plane = [a for a in range(3) if a != axis]
    lines = []
    for found in find_contours(np.pad(mask.mask.squeeze(axis), 1).astype(np.uint8), 0.5):
        line = np.full((len(found), 3), float(mask.box.start[axis]))
        line[:, plane] = found - 1 + np.array(mask.box.start)[plane]
        lines.append(line)
    return tuple(lines)


def _work(tool: ClickedTool, case: Case, wishes: ToolWishes, voxel: Voxel, axis: int, scope: Scope) -> Work:
    match tool:
        case "fill":
            return lambda progress, cancel: fill_region(case.segmentation.labels, voxel, scope)
        case "level":
            side = wishes.level_side
            return lambda progress, cancel: trace_level(case.volume.voxels, voxel, axis, side, scope)
        case "grow":
            return _region(case, wishes, voxel, scope)
        case "keep-island" | "remove-island":
            return _island(case, voxel, scope, removed=tool == "remove-island")


def _region(case: Case, wishes: ToolWishes, voxel: Voxel, scope: Scope) -> Work:
    volume, farthest = case.volume, wishes.grow_mm
    fixed = None if wishes.grow_by_tissue else Tolerance(wishes.tolerance)

    def work(progress: ProgressCallback, cancel: CancelToken) -> BoxMask:
        intensities = fixed or _tissue(case, voxel, scope)
        ball = sphere(volume.geometry, voxel, farthest)
        return grow_region(volume.voxels, voxel, intensities, scope=scope, within=ball)

    return work


def _tissue(case: Case, voxel: Voxel, scope: Scope) -> Between:
    """Return the values of the tissue around a voxel, from the slices that are acted on."""
    around = sphere(case.volume.geometry, voxel, TISSUE_MM)
    area = around.box.intersect(scope_box(scope, case.volume.geometry.shape))
    return range_around(case.volume.voxels, voxel, BoxMask(area, around.within(area)))


def _island(case: Case, voxel: Voxel, scope: Scope, *, removed: bool) -> Work:
    """Return what works out the voxels that go: an island of the active segment, or all others on these slices."""
    value, labels = case.active, case.segmentation.labels

    def work(progress: ProgressCallback, cancel: CancelToken) -> BoxMask:
        area = scope_box(scope, labels.shape)
        island = keep_island(labels, value, voxel, box=area)
        return island if removed else _without(shape_of(labels, value, area), island)

    return work


def _without(shape: BoxMask, island: BoxMask) -> BoxMask:
    return BoxMask(shape.box, shape.mask & ~island.within(shape.box))


def _voxel(case: Case, index: ArrayLike) -> Voxel:
    if not case.volume.geometry.contains(index):
        raise UsageError("there is no image where you clicked: click on the image")
    z, y, x = (int(i) for i in np.round(np.asarray(index, float)))
    return z, y, x


def _refuse_elsewhere(case: Case, voxel: Voxel) -> None:
    segment = case.table[target(case, takes_away=True)]
    if case.label_at(voxel) != segment.value:
        raise UsageError(f'"{segment.name}" has no voxel where you clicked: click on one of its islands')


def _parameters(tool: ClickedTool, wishes: ToolWishes, voxel: Voxel, axis: int) -> dict[str, Setting]:
    kept: dict[str, Any] = {"reach": wishes.hand_reach, "axis": axis}
    kept.update(zip("zyx", voxel, strict=True))
    if wishes.hand_reach == "slab":
        kept["slab_mm"] = wishes.hand_slab_mm
    if tool == "level":
        kept["side"] = wishes.level_side
    if tool == "grow":
        kept["farthest_mm"] = wishes.grow_mm
        kept["tolerance"] = "tissue" if wishes.grow_by_tissue else wishes.tolerance
    return kept
