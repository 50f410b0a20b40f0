"""Body, lungs and bone of a CT from densities and shapes, on the working grid.

All arrays are (z, y, x) with index towards (S, P, L); densities in HU, lengths in mm, volumes in mL. Densities of
tissues follow common practice: air below −950, lung −950 to −400, fat −190 to −30, lean tissue −29 to 150.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_volseg.inference.tissue_grid import (
    Mask,
    Part,
    WorkingGrid,
    closed,
    components,
    dilate,
    erode,
    filled_slices,
    opened,
)

#: Half-way between air and fat, and between lung and lean tissue, HU.
SKIN_HU = -300.0
LUNG_SURFACE_HU = -400.0
#: The median of a lung's inside lies above, that of gas in bowel or airways below, HU.
GAS_HU = -960.0
#: Three quarters of a lung that the field of view cuts are denser than the foam of tables and cushions, HU.
FOAM_HU = -900.0
#: Thinner than air: what scanners write outside a round field of view, HU.
UNSEEN_HU = -1100.0
#: Bone is denser than the first value, and has parts denser than the second within reach, HU.
BONE_HU = 180.0
DENSE_BONE_HU = 300.0


def body_mask(grid: WorkingGrid) -> Mask:
    """Return the patient with lungs and bowel gas, without table, blankets and wires."""
    tissue = grid.hu > SKIN_HU
    solid = np.zeros_like(tissue)
    parts = list(components(opened(tissue, grid.spacing, 8.0), 1))
    for box, part in parts:
        if part.sum() >= 0.03 * parts[0][1].sum():
            solid[box] |= part
    surface = dilate(solid, grid.spacing, 5.0) & tissue
    body = filled_slices(surface)
    return filled_slices(body | _cut_lungs(grid, body))


def _cut_lungs(grid: WorkingGrid, body: Mask) -> Mask:
    """Return lung that the field of view cuts, so that it is no hole in the body.

    It has a lung's density, which neither the air of the room nor the foam of a table has, is thicker than a
    table's filling, and most of what surrounds it is body.
    """
    smooth = ndimage.uniform_filter(grid.hu, 3)
    like_lung = ~body & (smooth > GAS_HU) & (smooth < LUNG_SURFACE_HU)
    found = np.zeros_like(body)
    for box, part in components(opened(like_lung, grid.spacing, 12.0), 1):
        core = np.zeros_like(body)
        core[box] = part
        whole = dilate(core, grid.spacing, 10.0) & like_lung
        around = dilate(whole, grid.spacing, 6.0) & ~whole & (grid.hu > UNSEEN_HU)
        if np.percentile(grid.hu[core], 25) > FOAM_HU and body[around].mean() > 0.5:
            found |= whole
    return found


def lung_masks(grid: WorkingGrid, body: Mask, bone: Mask) -> tuple[Mask, Mask]:
    """Return the patient's left and right lung, vessels included, trachea and bowel gas not."""
    air = body & (grid.hu < LUNG_SURFACE_HU)
    left, right = np.zeros_like(air), np.zeros_like(air)
    middle = _middle(body, bone, grid)
    minimum = int(1.0 / grid.millilitres(1))
    for box, part in components(air & ~_airways(grid, air), minimum):
        if _is_lung(grid, box, part):
            x = middle - box[2].start
            on_left = _left_part(grid, part, x)
            left[box] |= part & on_left
            right[box] |= part & ~on_left
    return _with_vessels(grid, left, right), _with_vessels(grid, right, left)


def _middle(body: Mask, bone: Mask, grid: WorkingGrid) -> float:
    """Return the x index of the spine, or of the middle of the body where no spine is seen.

    The spine is the 20 mm with most thick bone, weighed by nearness to the middle of the body, which alone would
    mislead where the field of view shows one side of the patient.
    """
    width = np.flatnonzero(body.any((0, 1)))
    if not width.size:
        return 0.0
    x = np.arange(body.shape[2])
    center = float(np.nonzero(body)[2].mean())
    nearness = np.exp(-0.5 * ((x - center) / (0.3 * width.size)) ** 2)
    thick = erode(bone, grid.spacing, 5.0).sum((0, 1), dtype=float)
    spine = ndimage.uniform_filter1d(thick, max(1, int(20 / grid.spacing[2]))) * nearness
    return float(np.argmax(spine)) if spine.any() else center


def _airways(grid: WorkingGrid, air: Mask) -> Mask:
    """Return trachea and main bronchi with their walls' blur: gas-like parts too small to be a diseased lung."""
    gas = ndimage.uniform_filter(grid.hu, 3) < GAS_HU + 20
    found = np.zeros_like(air)
    for box, part in components(air & gas, 1):
        if 0.5 < grid.millilitres(float(part.sum())) < 150:
            found[box] |= part
    return dilate(found, grid.spacing, 4.0) & air


def _is_lung(grid: WorkingGrid, box: tuple[slice, ...], part: Mask) -> bool:
    """Whether a part filled with air has a lung's density, and its size unless it goes on above the volume."""
    inside = erode(np.pad(part, 1), grid.spacing, 2.0)[1:-1, 1:-1, 1:-1]
    core = inside if inside.any() else part
    if not GAS_HU < np.median(grid.hu[box][core]) < -550:
        return False
    volume = grid.millilitres(float(part.sum()))
    reaches_top = box[0].stop >= grid.hu.shape[0]
    return volume > 100 or (reaches_top and volume > 3 and inside.sum() > 0.2 * part.sum())


def _left_part(grid: WorkingGrid, part: Mask, middle: float) -> Mask:
    """Return where the patient's left lung may lie in the box of a part; ``middle`` is the patient's x there."""
    x = np.arange(part.shape[2], dtype=float)
    share = part[:, :, x > middle].sum() / part.sum()
    if not 0.1 < share < 0.9:
        return np.full(part.shape, share >= 0.5)
    for radius in (2.0, 3.5, 5.0, 8.0):
        halves = list(components(erode(part, grid.spacing, radius), int(0.1 * part.sum())))[:2]
        if len(halves) == 2:
            return _nearer_to_left_half(grid, part, halves)
    return np.broadcast_to(x > middle, part.shape)


def _nearer_to_left_half(grid: WorkingGrid, part: Mask, halves: list[Part]) -> Mask:
    centers = [box[2].start + float(np.nonzero(half)[2].mean()) for box, half in halves]
    distances = []
    for box, half in halves:
        outside = np.ones(part.shape, bool)
        outside[box][half] = False
        distances.append(ndimage.distance_transform_edt(outside, grid.spacing))
    leftmost = int(np.argmax(centers))
    return np.asarray(distances[leftmost] < distances[1 - leftmost])


def _with_vessels(grid: WorkingGrid, lung: Mask, other: Mask) -> Mask:
    """Return a lung with the vessels and nodules that it surrounds."""
    if not lung.any():
        return lung
    # holes count in 3D only: in an axial slice the dome of the liver is one, too
    return np.asarray(ndimage.binary_fill_holes(closed(lung, grid.spacing, 5.0))) & ~other


def bone_mask(grid: WorkingGrid, body: Mask) -> Mask:
    """Return bone with its marrow, without vessels and bowel that contrast medium fills."""
    candidates = body & (grid.hu > BONE_HU) & ~_contrast_medium(grid)
    hard = candidates & (grid.hu > DENSE_BONE_HU)
    shell = candidates & dilate(hard, grid.spacing, 5.0)
    bone = np.zeros_like(shell)
    for box, part in components(closed(shell, grid.spacing, 3.0), int(0.5 / grid.millilitres(1))):
        bone[box] |= part
    return _with_marrow(grid, bone)


def _contrast_medium(grid: WorkingGrid) -> Mask:
    """Return what contrast medium fills, with the blur around it.

    It is as even inside as only a liquid is, or spongy bone, which lies in a shell that is denser still.
    """
    smooth = ndimage.gaussian_filter(grid.hu, 1.0)
    variance = ndimage.uniform_filter(smooth**2, 3) - ndimage.uniform_filter(smooth, 3) ** 2
    even = (smooth > DENSE_BONE_HU) & (smooth < 800) & (variance < 30.0**2)
    filled = np.zeros_like(even)
    for box, part in components(opened(even, grid.spacing, 2.5), int(1.0 / grid.millilitres(1))):
        core = np.zeros_like(even)
        core[box] = part
        around = dilate(core, grid.spacing, 6.0) & ~core
        if np.mean(smooth[around] > np.median(smooth[core]) + 20) < 0.2:
            filled |= core
    return dilate(filled, grid.spacing, 8.0) & (grid.hu < 800)


def _with_marrow(grid: WorkingGrid, bone: Mask) -> Mask:
    """Fill the holes of each slice that are as dense as marrow; the spinal canal is not."""
    result = bone.copy()
    holes = filled_slices(bone) & ~bone
    for z in np.flatnonzero(holes.any((1, 2))):
        labels, count = ndimage.label(holes[z])
        medians = ndimage.median(grid.hu[z], labels, range(1, count + 1))
        result[z] |= np.isin(labels, 1 + np.flatnonzero(np.asarray(medians) > 70))
    return result


def wall_mask(grid: WorkingGrid, body: Mask, bone: Mask, lungs: Mask) -> Mask:
    """Return the body wall and limbs, where lean tissue is muscle, not organ.

    It is the outermost 15 mm of what lies under the subcutaneous fat, the neighbourhood of the spine behind its
    canal, and every part of the body apart from the trunk.
    """
    lean = body & (grid.hu > -29) | bone | lungs
    inside = erode(body, grid.spacing, 4.0)
    trunk = opened(filled_slices(closed(lean & inside, grid.spacing, 8.0)), grid.spacing, 10.0)
    biggest = next(components(trunk, 1), None)
    if biggest is None:
        return inside
    core = np.zeros_like(trunk)
    core[biggest[0]] = erode(np.pad(biggest[1], ((0, 0), (1, 1), (1, 1))), grid.spacing, 15.0)[:, 1:-1, 1:-1]
    return inside & (~core | _behind_spine(grid, bone & trunk))


def _behind_spine(grid: WorkingGrid, bone: Mask) -> Mask:
    """Return per slice the wedge that opens backwards from the middle of the spine, as the back's muscles lie."""
    wedge = np.zeros_like(bone)
    rows, columns = (np.arange(n) * s for n, s in zip(bone.shape[1:], grid.spacing[1:], strict=True))
    for z in np.flatnonzero(bone.any((1, 2))):
        y, x = (index * step for index, step in zip(np.nonzero(bone[z]), grid.spacing[1:], strict=True))
        center = np.median(x[y >= np.median(y)])
        spine = y[np.abs(x - center) < 25]
        if spine.size:
            behind = rows - np.median(spine)
            half_width = np.minimum(20 + 0.8 * behind, 60)
            wedge[z] = (behind >= 0)[:, None] & (np.abs(columns - center) < half_width[:, None])
    return wedge
