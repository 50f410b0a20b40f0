"""Windows outside of the body are found in any orientation, left out on request alone, and told."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from napari_volseg.core import Box, CancelToken, Geometry, RefusedError, Volume
from napari_volseg.formats import open_volume
from napari_volseg.inference import load_model
from napari_volseg.inference.air import windows_in_air
from napari_volseg.inference.preprocessing import resampled_shape
from napari_volseg.inference.sliding import WindowGrid
from napari_volseg.spatial import apply_reorientation, display_reorientation, reorient_geometry, reorientation_to

SHAPE, SPACING = (50, 63, 122), (3.0, 2.0, 1.5)
BODY = (slice(0, 28), slice(20, 55), slice(4, 61))  # of (S, P, L): low, in front of the back, and to the right


def chiral(codes="SPL"):
    rng = np.random.default_rng(0)
    voxels = rng.normal(-1000, 15, SHAPE).astype(np.float32)
    voxels[BODY] = 40
    geometry = Geometry.from_spacing(SHAPE, SPACING)
    turned = reorientation_to(geometry, codes)
    return Volume(apply_reorientation(voxels, turned), reorient_geometry(geometry, turned), "CT", "HU", "HU", "wide")


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize(("codes", "model"), [("SPL", "SPL"), ("IAR", "SAR"), ("LPS", "RSA"), ("ALI", "SPR")])
def test_no_window_with_body_counts_as_air_and_most_others_do(codes, model, transpose):
    volume = chiral(codes)
    to_model = reorientation_to(volume.geometry, model)
    body = apply_reorientation(volume.voxels > -500, to_model).transpose(transpose)
    box = Box.of((14, 12, 15), tuple(n - 2 for n in body.shape))
    seen = body[box.slices]
    shape = tuple(round(n * f) for n, f in zip(seen.shape, (0.8, 1.3, 0.7), strict=True))
    grid = WindowGrid(shape, (12, 14, 16))
    air = windows_in_air(volume, to_model, transpose, box, grid, CancelToken())
    expected = np.zeros(air.shape, bool)
    for place in product(*map(range, air.shape)):
        starts = [grid.starts[a][i] for a, i in enumerate(place)]
        spans = [
            slice(int(s * n / m), int(np.ceil((s + p) * n / m)))
            for s, p, n, m in zip(starts, grid.patch, seen.shape, shape, strict=True)
        ]
        expected[place] = not seen[tuple(spans)].any()
    assert not (air & ~expected).any()
    assert air.sum() > 0.5 * expected.sum() > 0


@pytest.fixture(scope="module")
def wide(request):
    """The sample CT in a field of view that is twice as wide on its left side."""
    folder = request.path.parents[2] / "sample_data"
    volume = open_volume(folder / "torso-ct.nii.gz")
    turned = display_reorientation(volume.geometry)
    voxels = apply_reorientation(volume.voxels, turned)
    rng = np.random.default_rng(1)
    air = rng.normal(-1000, 20, (*voxels.shape[:2], 2 * voxels.shape[2])).astype(np.float32)
    voxels = np.concatenate([voxels, air], 2)
    grid = reorient_geometry(volume.geometry, turned)
    return Volume(voxels, Geometry(voxels.shape, grid.matrix), "CT", "HU", "HU", "wide")


def test_windows_are_left_out_on_request_and_that_is_told(wide):
    model = load_model("phantom-organs")
    whole = model.predict(wide, device="cpu", backend="torch")
    found = model.predict(wide, device="cpu", backend="torch", skip_air=True)
    assert whole.report.skipped == 0
    assert not whole.report.findings
    assert found.report.skipped > 0
    assert found.report.windows + found.report.skipped == whole.report.windows
    (finding,) = found.report.findings
    assert f"{found.report.skipped} of {whole.report.windows} windows" in finding.message
    assert found.report.as_dict()["windows_skipped"] == found.report.skipped
    reached = in_reach_of_air(model, wide)
    assert 0.2 < reached.mean() < 0.8
    assert np.array_equal(found.labels[~reached], whole.labels[~reached])
    assert np.unique(found.labels[~reached]).size > 5
    assert not np.array_equal(found.labels, whole.labels)  # else nothing was left out


def in_reach_of_air(model, volume):
    """Return the voxels that a window in air, or the interpolation of its logits, reaches."""
    plan, shape = model.plan, volume.geometry.shape
    assert volume.geometry.axis_codes == model.card.orientation
    grid = WindowGrid(resampled_shape(shape, volume.geometry.spacing, plan.spacing), plan.patch_size, plan.windows)
    to_model = reorientation_to(volume.geometry, model.card.orientation)
    air = windows_in_air(volume, to_model, (0, 1, 2), Box.whole(shape), grid, CancelToken())
    reached = np.zeros(shape, bool)
    for place in np.argwhere(air):
        corner = np.array([grid.starts[a][i] - grid.padding[a][0] for a, i in enumerate(place)])
        scale = np.array(shape) / grid.shape
        low = np.maximum(0, np.floor((corner - 1) * scale)).astype(int)
        high = np.maximum(0, np.ceil((corner + grid.patch + 1) * scale)).astype(int)
        reached[tuple(map(slice, low, high))] = True
    return reached


def test_air_is_told_by_hu_alone(wide):
    magnetic = Volume(wide.voxels, wide.geometry, "MR", name="head")
    with pytest.raises(RefusedError, match="skip_air"):
        load_model("phantom-organs").predict(magnetic, device="cpu", skip_air=True)
