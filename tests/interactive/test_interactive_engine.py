"""What the engine without weights promises, whatever the image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_volseg.core import (
    Box,
    BoxMask,
    BoxPrompt,
    CancelledError,
    CancelToken,
    Geometry,
    GeometryError,
    LassoPrompt,
    PointPrompt,
    RefusedError,
    ScribblePrompt,
    UsageError,
    Volume,
)
from napari_volseg.interactive import available_engines, load_engine, next_click, prompt_voxels
from napari_volseg.interactive.grids import WorkingGrid
from napari_volseg.interactive.seeds import decisions, seeds_of
from napari_volseg.interactive.steps import bounded, corrected
from napari_volseg.interactive.views import Clues, View

SHAPE = (24, 60, 70)
SPACING = (3.0, 1.2, 1.2)


def ellipsoid(geometry, centre_mm, radii_mm):
    """Boolean (z, y, x); centre and radii (x, y, z), mm."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    offset = (geometry.to_patient(index) - np.asarray(centre_mm)) / np.asarray(radii_mm)
    return (offset**2).sum(-1) <= 1


def body_with(geometry, *parts):
    """CT of fat with soft tissue parts given as (mask, HU), noise of 15 HU."""
    voxels = np.full(geometry.shape, -90.0)
    for mask, value in parts:
        voxels[mask] = value
    voxels += np.random.default_rng(5).normal(0, 15, geometry.shape)
    return Volume(voxels.astype(np.int16), geometry, "CT", "HU", "HU")


@pytest.fixture(scope="module")
def geometry():
    return Geometry.from_spacing(SHAPE, SPACING, (-40.0, 12.0, 300.0))


@pytest.fixture(scope="module")
def organs(geometry):
    """A kidney-like organ on the patient's right and a larger one on the left."""
    right = ellipsoid(geometry, (-20, 45, 335), (9, 14, 16))
    left = ellipsoid(geometry, (18, 45, 335), (14, 18, 24))
    return right, left


@pytest.fixture(scope="module")
def volume(geometry, organs):
    right, left = organs
    return body_with(geometry, (right, 60), (left, 60))


def point(geometry, index, positive=True):
    x, y, z = geometry.to_patient(index)
    return PointPrompt((float(x), float(y), float(z)), positive)


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def simulate(session, reference, geometry, clicks):
    random = np.random.default_rng(0)
    mask = np.zeros(reference.shape, bool)
    for _ in range(clicks):
        click = next_click(mask, reference, geometry, random)
        if click is None:
            break
        session.add(click)
        mask = session.result().expand(reference.shape)
    return mask


def test_engines_are_listed_and_loaded_by_name():
    assert "regions" in [card.id for card in available_engines()]
    assert load_engine("default").capabilities.scribbles
    with pytest.raises(UsageError, match="choose one of"):
        load_engine("no such engine")


def test_one_click_finds_the_organ_and_not_its_twin(volume, geometry, organs):
    right, left = organs
    session = load_engine("regions").open(volume)
    session.add(PointPrompt((-20.0, 45.0, 335.0)))
    mask = session.result().expand(SHAPE)
    assert overlap(mask, right) > 0.9
    assert not (mask & left).any()


def test_every_click_is_honoured_at_every_step(volume, geometry):
    session = load_engine("regions").open(volume)
    random = np.random.default_rng(2)
    for _ in range(6):
        session.add(point(geometry, random.integers(0, SHAPE), bool(random.random() < 0.6)))
        mask = session.result().expand(SHAPE)
        decided = {tuple(prompt_voxels(p, geometry)[0]): p.positive for p in session.prompts}
        assert all(mask[voxel] == positive for voxel, positive in decided.items())


def test_clicks_converge_where_contrast_is_poor(geometry, organs):
    right, left = organs
    volume = body_with(geometry, (ellipsoid(geometry, (0, 45, 335), (38, 26, 33)), 30), (right, 55), (left, 62))
    mask = simulate(load_engine("regions").open(volume), left, geometry, 6)
    assert overlap(mask, left) > 0.8


def test_the_later_of_two_opposite_clicks_wins(volume, geometry):
    session = load_engine("regions").open(volume)
    session.add(PointPrompt((-20.0, 45.0, 335.0)))
    session.add(PointPrompt((-20.0, 45.0, 335.0), positive=False))
    voxel = tuple(prompt_voxels(session.prompts[0], geometry)[0])
    assert not session.result().expand(SHAPE)[voxel]


def test_undo_is_exact_and_recomputation_gives_the_same(volume, geometry):
    prompts = [point(geometry, (12, 28, 17)), point(geometry, (12, 28, 25), False), point(geometry, (14, 30, 14))]
    session = load_engine("regions").open(volume)
    results = []
    for prompt in prompts:
        session.add(prompt)
        results.append(session.result())
    session.remove(prompts[2])
    assert session.result() is results[1]
    fresh = load_engine("regions").open(volume)
    for prompt in prompts:
        fresh.add(prompt)
    assert fresh.result().box == results[2].box
    assert np.array_equal(fresh.result().mask, results[2].mask)
    with pytest.raises(UsageError, match="no such prompt"):
        session.remove(prompts[2])


def test_forbidden_voxels_stay_outside(volume, geometry, organs):
    right, _ = organs
    forbidden = np.zeros(SHAPE, bool)
    forbidden[:, :, :17] = True
    session = load_engine("regions").open(volume, forbidden=forbidden)
    session.add(point(geometry, (12, 28, 20)))
    mask = session.result().expand(SHAPE)
    assert (mask & right).sum() > 200
    assert not (mask & forbidden).any()
    with pytest.raises(RefusedError) as refusal:
        session.add(point(geometry, (12, 28, 10)))
    assert refusal.value.code == "prompt.locked"


def test_the_region_grows_with_a_long_segment():
    geometry = Geometry.from_spacing((120, 40, 40), (3.0, 1.5, 1.5))
    vessel = ellipsoid(geometry, (30, 30, 180), (9, 9, 1e4))
    session = load_engine("regions").open(body_with(geometry, (vessel, 150)))
    session.add(point(geometry, (60, 20, 20)))
    mask = session.result().expand(geometry.shape)
    assert mask[:3].any()
    assert mask[-3:].any()
    assert overlap(mask, vessel) > 0.9


def test_a_segment_is_the_same_on_a_mirrored_and_an_anisotropic_grid(organs, volume, geometry):
    """The result follows the patient, not the index: flipping the axes flips the mask (chirality)."""
    flipped_matrix = geometry.matrix @ np.array(
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, SHAPE[2] - 1], [0, 0, 0, 1.0]]
    )
    mirrored = Volume(volume.voxels[:, :, ::-1], Geometry(SHAPE, flipped_matrix), "CT", "HU")
    masks = []
    for case in (volume, mirrored):
        session = load_engine("regions").open(case)
        session.add(PointPrompt((-20.0, 45.0, 335.0)))
        masks.append(session.result().expand(SHAPE))
    assert overlap(masks[0], masks[1][:, :, ::-1]) > 0.97


def test_scribbles_cover_a_round_stroke_in_mm(geometry):
    stroke = ScribblePrompt(tuple((x, 45.0, 330.0) for x in np.arange(-25.0, -14.0)), 4.0)
    voxels = geometry.to_patient(prompt_voxels(stroke, geometry))
    extent = np.ptp(voxels, axis=0) + np.asarray(SPACING[::-1])
    assert extent == pytest.approx((18, 8, 8), abs=3.1)


def test_scribbles_are_obeyed_wholly(volume, geometry, organs):
    stroke = ScribblePrompt(tuple((x, 45.0, 335.0) for x in np.arange(-24.0, -15.0)), 2.0)
    session = load_engine("regions").open(volume)
    session.add(stroke)
    mask = session.result().expand(SHAPE)
    assert mask[tuple(prompt_voxels(stroke, geometry).T)].all()
    assert overlap(mask, organs[0]) > 0.85


def test_an_existing_segment_changes_only_around_the_click(volume, geometry, organs):
    right, left = organs
    both = right | left
    cut = right.copy()
    cut[:10] = False
    initial = BoxMask.of(cut | left)
    session = load_engine("regions").open(volume, initial=initial)
    assert session.result() is initial
    session.add(point(geometry, (7, 28, 17)))
    mask = session.result().expand(SHAPE)
    assert overlap(mask & ~left, right) > overlap(cut, right)
    assert (mask & left).sum() == left.sum()
    session.add(point(geometry, (12, 28, 49), False))
    after = session.result().expand(SHAPE)
    assert not (after & ~mask).any()
    assert both[after].mean() > 0.9


def test_an_existing_segment_survives_a_single_negative_click(volume, geometry, organs):
    right, left = organs
    session = load_engine("regions").open(volume, initial=BoxMask.of(right | left))
    session.add(point(geometry, (12, 28, 49), False))
    mask = session.result().expand(SHAPE)
    assert not mask[12, 28, 49]
    assert (mask & right).sum() == right.sum()
    assert not (mask & ~(right | left)).any()


def test_holes_are_filled_unless_clicked():
    geometry = Geometry.from_spacing((30, 40, 40), (2.0, 2.0, 2.0))
    shell = ellipsoid(geometry, (40, 40, 30), (24, 24, 22))
    core = ellipsoid(geometry, (40, 40, 30), (7, 7, 7))
    session = load_engine("regions").open(body_with(geometry, (shell, 60), (core, 250)))
    session.add(point(geometry, (15, 20, 28)))
    assert (session.result().expand(geometry.shape) & core).sum() == core.sum()
    session.add(point(geometry, (15, 20, 20), False))
    assert not session.result().expand(geometry.shape)[15, 20, 20]


def test_only_what_hangs_together_with_a_positive_click_is_kept(volume, geometry):
    from scipy import ndimage

    session = load_engine("regions").open(volume)
    session.add(point(geometry, (12, 28, 17)))
    session.add(point(geometry, (12, 28, 49)))
    labels, count = ndimage.label(session.result().expand(SHAPE))
    assert count <= 2
    assert set(range(1, count + 1)) == {labels[12, 28, 17], labels[12, 28, 49]}


def test_a_negative_click_alone_gives_nothing(volume, geometry):
    session = load_engine("regions").open(volume)
    session.add(point(geometry, (12, 28, 17), False))
    assert session.result().mask.size == 0
    session.add(point(geometry, (12, 28, 49)))
    assert session.result().mask.any()


def test_cancelling_leaves_the_session_usable(volume, geometry):
    session = load_engine("regions").open(volume)
    session.add(point(geometry, (12, 28, 17)))
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        session.result(cancel=token)
    assert session.result(cancel=CancelToken()).mask.any()


def test_a_click_outside_the_volume_is_refused(volume):
    session = load_engine("regions").open(volume)
    with pytest.raises(UsageError, match="outside the volume"):
        session.add(PointPrompt((500.0, 0.0, 0.0)))
    assert session.prompts == ()


def test_inputs_that_do_not_fit_are_refused(volume, geometry):
    model = load_engine("regions")
    with pytest.raises(GeometryError, match="do not match"):
        model.open(volume, forbidden=np.zeros((2, 2, 2), bool))
    with pytest.raises(UsageError, match="time point"):
        model.open(Volume(np.zeros((2, *SHAPE), np.int16), geometry))


class Watched(np.ndarray):
    """An array that remembers how many voxels of it were asked for."""

    asked = 0

    def __getitem__(self, key):
        part = super().__getitem__(key)
        Watched.asked += getattr(part, "size", 1)
        return part


def test_only_the_region_of_a_large_volume_is_read():
    shape = (300, 256, 256)
    geometry = Geometry.from_spacing(shape, (1.0, 0.8, 0.8))
    voxels = np.full(shape, -90, np.int16)
    voxels[140:160, 110:140, 110:140] = 60
    session = load_engine("regions").open(Volume(voxels.view(Watched), geometry, "CT", "HU"))
    session.add(point(geometry, (150, 125, 125)))
    result = session.result()
    assert result.box == Box((140, 110, 110), (160, 140, 140))
    assert Watched.asked < voxels.size / 3


def clicked_through(volume, reference, clicks):
    """Prompts of the simulated user and the masks after them."""
    session = load_engine("regions").open(volume)
    random = np.random.default_rng(0)
    masks, prompts = [np.zeros(reference.shape, bool)], []
    for _ in range(clicks):
        click = next_click(masks[-1], reference, volume.geometry, random)
        if click is None:
            break
        session.add(click)
        prompts.append(click)
        masks.append(session.result().expand(reference.shape))
    return prompts, masks


def test_from_the_third_click_on_no_voxel_changes_against_the_click_even_on_coarse_blocks():
    geometry = Geometry.from_spacing((60, 150, 150), (1.5, 0.8, 0.8))
    organ = ellipsoid(geometry, (60, 60, 45), (42, 30, 34))
    dent = ellipsoid(geometry, (80, 60, 45), (26, 12, 14))
    volume = body_with(geometry, (organ, 60), (dent, 35))
    prompts, masks = clicked_through(volume, organ & ~dent, 7)
    assert len(prompts) >= 4
    for prompt, before, after in list(zip(prompts, masks, masks[1:], strict=False))[2:]:
        assert (after >= before).all() if prompt.positive else (after <= before).all()


@pytest.mark.parametrize("positive", [True, False])
def test_a_change_is_no_deeper_than_a_click_just_beyond_the_surface_can_mean(positive):
    geometry = Geometry.from_spacing((24, 30, 30), (2.0, 2.0, 2.0))
    believed = np.zeros(geometry.shape, bool)
    believed[4:20, 5:25, 5:20] = True
    at = (12, 15, 21) if positive else (12, 15, 18)
    clues = Clues.of(
        [point(geometry, (12, 15, 10)), point(geometry, (1, 1, 1), False), point(geometry, at, positive)], geometry
    )
    grid = WorkingGrid(Box.whole(geometry.shape), (1, 1, 1), (2.0, 2.0, 2.0))
    view = View(body_with(geometry, (believed, 60)), grid, clues)
    proposal = np.full(geometry.shape, positive)
    change = bounded(view, believed, proposal, 9) ^ believed
    wrong = ~believed if positive else believed
    depth = ndimage.distance_transform_edt(wrong, sampling=geometry.spacing)
    assert depth[at] == 4
    assert change[at]
    assert depth[change].max() <= 2 * depth[at]
    assert depth[change].max() > depth[at]
    # A plate of that thickness may be wide, but not without end.
    assert change.sum() < 900


@pytest.mark.parametrize("positive", [True, False])
def test_a_shallow_click_has_the_whole_outline_drawn_anew_and_only_in_its_own_sense(positive):
    geometry = Geometry.from_spacing((24, 30, 30), (2.0, 2.0, 2.0))
    organ = ellipsoid(geometry, (30, 30, 24), (16, 16, 16))
    too_small, too_large = ndimage.binary_erosion(organ), ndimage.binary_dilation(organ)
    believed = too_small if positive else too_large
    row = np.flatnonzero((organ if positive else too_large)[12, 15])
    clicks = [point(geometry, (12, 15, 15)), point(geometry, (2, 2, 2), False)]
    clues = Clues.of([*clicks, point(geometry, (12, 15, row[0]), positive)], geometry)
    grid = WorkingGrid(Box.whole(geometry.shape), (1, 1, 1), (2.0, 2.0, 2.0))
    after = corrected(View(body_with(geometry, (organ, 60)), grid, clues), believed, 3)
    assert (after >= believed).all() if positive else (after <= believed).all()
    far = np.s_[:, :, 18:]
    assert (after ^ organ)[far].sum() < 0.2 * (believed ^ organ)[far].sum()


def test_a_box_finds_the_organ_and_keeps_within_its_frame(volume, geometry, organs):
    right, left = organs
    k = int(np.argmax(left.sum((1, 2))))
    rows, columns = np.nonzero(left[k])
    low, high = (rows.min(), columns.min()), (rows.max(), columns.max())
    corners = [(k, low[0], low[1]), (k, low[0], high[1]), (k, high[0], high[1]), (k, high[0], low[1])]
    box = BoxPrompt(tuple(tuple(map(float, geometry.to_patient(c))) for c in corners))
    session = load_engine("regions").open(volume)
    session.add(box)
    mask = session.result().expand(SHAPE)
    assert 2 * (mask & left).sum() / (mask.sum() + left.sum()) > 0.85
    assert not (mask & right).any()
    seeds = seeds_of([box], geometry)
    assert mask[tuple(seeds.positive.T)].all()
    assert not mask[tuple(seeds.negative.T)].any()


def lasso(geometry, plane, corners, positive=True):
    """A lasso through (row, column) corners of a slice, ``plane`` is (index axis, slice)."""
    axis, k = plane
    outline = [geometry.to_patient(np.insert(np.asarray(c, float), axis, k)) for c in corners]
    return LassoPrompt(tuple(tuple(map(float, point)) for point in outline), positive)


def inside_polygon(point, corners):
    """Ray casting, independent of the library."""
    (y, x), inside = point, False
    for (y0, x0), (y1, x1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


#: An L, whose mean lies outside of it.
HOOK = [(3.3, 4.4), (3.3, 8.6), (15.4, 8.6), (15.4, 20.7), (19.6, 20.7), (19.6, 4.4)]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_lasso_covers_what_it_encloses_on_its_slice(axis):
    geometry = Geometry.from_spacing((24, 26, 28), (3.0, 1.2, 0.8), (-40.0, 12.0, 300.0))
    prompt = lasso(geometry, (axis, 7), HOOK)
    voxels = prompt_voxels(prompt, geometry)
    flat = np.delete(voxels, axis, 1)
    assert (voxels[:, axis] == 7).all()
    expected = {(y, x) for y in range(24) for x in range(24) if inside_polygon((y, x), HOOK)}
    assert set(map(tuple, flat.tolist())) == expected
    (frame, outside), (middle, inside) = decisions(prompt, geometry)
    assert (outside, inside) == (False, True)
    near = {(y + i, x + j) for y, x in expected for i in (-1, 0, 1) for j in (-1, 0, 1)}
    around = {(y + i, x + j) for y, x in near for i in (-1, 0, 1) for j in (-1, 0, 1)} - near
    assert set(map(tuple, np.delete(frame, axis, 1).tolist())) == around, "it keeps a pixel's distance"
    assert (frame[:, axis] == 7).all()
    deep = set(map(tuple, np.delete(middle, axis, 1).tolist()))
    assert deep < expected
    assert all((y + i, x + j) in expected for y, x in deep for i in (-1, 0, 1) for j in (-1, 0, 1))
    assert len(deep) > 4, "all that lies deep within, and not the mean, which lies outside"


def test_a_lasso_of_what_does_not_belong_excludes_all_of_it():
    geometry = Geometry.from_spacing((24, 26, 28), (3.0, 1.2, 0.8))
    prompt = lasso(geometry, (0, 7), HOOK, positive=False)
    ((voxels, sign),) = decisions(prompt, geometry)
    assert sign is False
    assert len(voxels) == len(prompt_voxels(prompt, geometry)) > 50


def test_a_lasso_beyond_the_image_is_cut_and_one_outside_of_it_refused():
    geometry = Geometry.from_spacing((24, 26, 28), (3.0, 1.2, 0.8))
    voxels = prompt_voxels(lasso(geometry, (0, 7), [(-9, -9), (-9, 5), (5, 5), (5, -9)]), geometry)
    assert voxels.min(0).tolist() == [7, 0, 0]
    with pytest.raises(UsageError, match="outside the volume"):
        prompt_voxels(lasso(geometry, (0, 7), [(-9, -9), (-9, -5), (-5, -5)]), geometry)


def test_lassos_find_an_organ_and_take_from_it(volume, geometry, organs):
    right, left = organs
    k = int(np.argmax(left.sum((1, 2))))
    edge = np.argwhere(ndimage.binary_dilation(left[k], iterations=2) & ~left[k])
    middle = edge.mean(0)
    order = np.argsort(np.arctan2(*(edge - middle).T))
    around = [tuple(c) for c in (edge + 0.2 * np.sign(edge - middle))[order].tolist()]
    session = load_engine("regions").open(volume)
    session.add(lasso(geometry, (0, k), around))
    found = session.result().expand(SHAPE)
    assert 2 * (found & left).sum() / (found.sum() + left.sum()) > 0.85
    assert not (found & right).any()
    half = [(0, 0), (0, SHAPE[2] - 1), (middle[0], SHAPE[2] - 1), (middle[0], 0)]
    session.add(lasso(geometry, (0, k), half, positive=False))
    less = session.result().expand(SHAPE)
    assert not less[k, : int(middle[0])].any()
    assert less[k, int(middle[0]) + 3 :].any()
