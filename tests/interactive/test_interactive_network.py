"""The engine of the click network: where it looks, what it is told, where its answer lands."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_volseg.core import (
    Box,
    BoxMask,
    BoxPrompt,
    CancelledError,
    CancelToken,
    Geometry,
    PointPrompt,
    RefusedError,
    Volume,
)
from napari_volseg.interactive import available_engines, load_engine, next_click, prompt_voxels
from napari_volseg.interactive.click_weights import PACKAGED, ClickWeights, packaged_weights, write_click_weights
from napari_volseg.interactive.looking import EDGE, Eye, Sight, told
from napari_volseg.interactive.network import NetworkModel, NetworkSession
from napari_volseg.interactive.patches import Patch

SHAPE = (24, 60, 70)
SPACING = (3.0, 1.2, 1.5)
#: A frame that is turned, so that a mix-up of axes or frames shows.
TURN = np.array([[0.0, 0.8, 0.6], [0.0, -0.6, 0.8], [1.0, 0.0, 0.0]])


@pytest.fixture(scope="module")
def geometry():
    matrix = np.eye(4)
    matrix[:3, :3] = TURN * SPACING
    matrix[:3, 3] = (-40.0, 12.0, 300.0)
    return Geometry(SHAPE, matrix)


def hook(shape):
    """A body that no turn or mirror maps onto itself (z, y, x)."""
    mask = np.zeros(shape, bool)
    mask[6:18, 20:30, 20:45] = True
    mask[6:10, 30:44, 38:45] = True
    mask[14:18, 12:20, 20:26] = True
    return mask


@pytest.fixture(scope="module")
def volume(geometry):
    voxels = np.random.default_rng(3).normal(-90, 5, SHAPE)
    voxels[hook(SHAPE)] += 150
    return Volume(voxels.astype(np.int16), geometry, "CT", "HU")


def point(geometry, index, positive=True):
    x, y, z = geometry.to_patient(index)
    return PointPrompt((float(x), float(y), float(z)), positive)


def brightness(sight: Sight):
    """A network that takes everything as bright as the positive points for the structure, and is quite sure of it."""
    inside = sight.points[sight.signs > 0]
    inside = inside[((inside >= 0) & (inside < EDGE)).all(1)]
    level = np.median(sight.image[tuple(inside.T)]) if len(inside) else sight.image.max()
    answer = np.full((2, EDGE, EDGE, EDGE), 2.0, np.float32)
    answer[0] = np.where(np.abs(sight.image - level) < 50, 6.0, -6.0)
    return answer


def session(volume, network=brightness, initial=None, forbidden=None):
    return NetworkSession(network, volume, initial, forbidden)


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_cube_holds_the_volume_at_its_places(geometry):
    z, y, x = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    ramp = (100 * z + 10 * y + x).astype(np.float32)
    patch = Patch.around(np.array([12.0, 30.0, 33.0]), 0.6, 16, geometry)
    steps = 0.6 / np.array(SPACING)
    first = np.array([12.0, 30.0, 33.0]) - steps * 7.5
    a, b, c = np.meshgrid(*(f + s * np.arange(16) for f, s in zip(first, steps, strict=True)), indexing="ij")
    assert np.allclose(patch.take(ramp), 100 * a + 10 * b + c, atol=1e-2)
    assert np.allclose(patch.places(np.array([[12, 30, 33]])), [[8, 8, 8]], atol=0.51)


def test_beyond_the_volume_its_border_goes_on(geometry):
    z = np.broadcast_to(np.arange(SHAPE[0], dtype=np.float32)[:, None, None], SHAPE)
    cube = Patch.around(np.array([1.0, 30.0, 33.0]), 1.5, 32, geometry).take(z)
    assert cube[0, 0, 0] == 0
    assert np.all(np.diff(cube[:, 16, 16]) >= 0)


def test_an_answer_lands_where_it_was_seen(geometry):
    truth = hook(SHAPE).astype(np.float32)
    patch = Patch.around(np.array([12.0, 28.0, 33.0]), 0.5, EDGE, geometry)
    back = np.zeros(SHAPE, bool)
    back[tuple(slice(a, b) for a, b in zip(patch.box.start, patch.box.stop, strict=True))] = (
        patch.give(patch.take(truth)) > 0.5
    )
    inside = np.zeros(SHAPE, bool)
    inside[tuple(slice(a, b) for a, b in zip(patch.box.start, patch.box.stop, strict=True))] = True
    assert overlap(back, hook(SHAPE) & inside) > 0.97


def test_one_click_finds_a_body_that_nothing_maps_onto_itself(volume, geometry):
    found = session(volume)
    found.add(point(geometry, (12, 25, 30)))
    assert overlap(found.result().expand(SHAPE), hook(SHAPE)) > 0.97


def test_clicks_are_honoured_at_every_step_and_the_last_one_wins(volume, geometry):
    found, random = session(volume), np.random.default_rng(2)
    for _ in range(6):
        found.add(point(geometry, random.integers(0, SHAPE), bool(random.random() < 0.6)))
        mask = found.result().expand(SHAPE)
        decided = {tuple(prompt_voxels(p, geometry)[0]): p.positive for p in found.prompts}
        assert all(mask[voxel] == positive for voxel, positive in decided.items())


def test_what_needs_no_network_is_told_before_it_looks(volume, geometry):
    order = []

    def looking(sight):
        order.append("look")
        return brightness(sight)

    clicked = session(volume, looking)
    clicked.add(point(geometry, (12, 25, 30)))
    clicked.result(parts=order.append)
    assert order[0] != "look"
    assert overlap(order[0].expand(SHAPE), hook(SHAPE)) > 0.8
    assert set(order[1:]) == {"look"}


def test_only_negative_clicks_give_nothing(volume, geometry):
    found = session(volume)
    found.add(point(geometry, (12, 25, 30), False))
    assert not found.result().mask.any()


def test_forbidden_voxels_stay_outside_and_a_prompt_can_be_taken_back(volume, geometry):
    forbidden = np.zeros(SHAPE, bool)
    forbidden[:, :, 36:] = True
    found = session(volume, forbidden=forbidden)
    found.add(point(geometry, (12, 25, 30)))
    first = found.result()
    assert not (first.expand(SHAPE) & forbidden).any()
    second = point(geometry, (12, 25, 24), False)
    found.add(second)
    assert not found.result().expand(SHAPE)[12, 25, 24]
    found.remove(second)
    assert found.result() is first


def test_a_segment_that_is_there_is_corrected_and_stays_beyond_the_cube(volume, geometry):
    initial = np.zeros(SHAPE, bool)
    initial[2:4, 2:6, 2:6] = True
    found = session(volume, initial=BoxMask(Box.whole(SHAPE), initial))
    assert found.result().expand(SHAPE).sum() == initial.sum()
    found.add(point(geometry, (12, 25, 30)))
    assert overlap(found.result().expand(SHAPE), hook(SHAPE) | initial) > 0.97


def test_cancelling_stops_it(volume, geometry):
    found, token = session(volume), CancelToken()
    found.add(point(geometry, (12, 25, 30)))
    token.cancel()
    with pytest.raises(CancelledError):
        found.result(cancel=token)
    assert overlap(found.result().expand(SHAPE), hook(SHAPE)) > 0.97


def test_a_cut_off_segment_is_looked_at_from_farther_away():
    geometry = Geometry.from_spacing((90, 160, 150), (1.0, 1.0, 1.0))
    voxels = np.full(geometry.shape, -90.0)
    voxels[10:80, 25:135, 30:60] = 60
    big = Volume(voxels.astype(np.int16), geometry, "CT", "HU")
    found = session(big)
    found.add(point(geometry, (45, 80, 45)))
    assert overlap(found.result().expand(geometry.shape), voxels > 0) > 0.97


def test_the_look_of_which_the_network_expects_most_is_taken(volume, geometry):
    seen = []

    def picky(sight):
        answer = brightness(sight)
        size = float((answer[0] > 0).mean())
        seen.append(size)
        answer[1] = -abs(np.log(max(size, 1e-6) / 0.03))
        return answer

    prompts = [point(geometry, (12, 25, 30))]
    nothing = BoxMask(Box.of((0, 0, 0), (1, 1, 1)), np.zeros((1, 1, 1), bool))
    look = Eye(picky, volume).first(prompts, nothing, CancelToken())
    assert len(seen) >= 3
    assert float((look.logit > 0).mean()) == min(seen, key=lambda size: abs(np.log(size / 0.03)))


def test_a_box_says_what_is_inside_and_what_around_it(volume, geometry):
    corners = geometry.to_patient(np.array([[12, 20, 20], [12, 20, 45], [12, 30, 45], [12, 30, 20]]))
    box = BoxPrompt(tuple(tuple(map(float, corner)) for corner in corners))
    patch = Patch.around(np.array([12.0, 25.0, 33.0]), 0.8, EDGE, geometry)
    points, signs, inside, outside = told(patch, [box, point(geometry, (12, 25, 30))], geometry)
    assert signs.tolist() == [0, 1]
    assert len(points) == 2
    assert inside.any()
    assert outside.any()
    assert not ((inside > 0) & (outside > 0)).any()


def weights_of(folder, size="small", seed=0):
    import torch
    from safetensors.torch import save

    from napari_volseg.interactive.click_network import build_click_network

    torch.manual_seed(seed)
    network = build_click_network(size)
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    return write_click_weights(folder, save(tensors), {"size": size, "weights_license": "BSD-3-Clause"}), network


def test_weights_come_back_as_they_were_written(tmp_path, volume, geometry):
    weights, network = weights_of(tmp_path)
    assert ClickWeights.of(tmp_path).facts == weights.facts
    loaded = weights.load()
    for name, value in network.state_dict().items():
        assert np.allclose(loaded.state_dict()[name].numpy(), value.numpy(), atol=1e-3)
    model = NetworkModel(weights, "cpu", "torch")
    assert model.card.checksum == weights.facts["sha256"]
    found = model.open(volume)
    found.add(point(geometry, (12, 25, 30)))
    assert found.result().expand(SHAPE)[12, 25, 30]


def test_a_box_alone_is_answered(tmp_path, volume, geometry):
    weights, _ = weights_of(tmp_path)
    corners = geometry.to_patient(np.array([[12, 18, 18], [12, 18, 47], [12, 32, 47], [12, 32, 18]]))
    box = BoxPrompt(tuple(tuple(map(float, corner)) for corner in corners))
    found = NetworkModel(weights, "cpu", "torch").open(volume)
    found.add(box)
    assert found.result().expand(SHAPE)[12, 25, 30]


def test_openvino_answers_as_torch_does(tmp_path, volume, geometry):
    pytest.importorskip("openvino")
    weights, _ = weights_of(tmp_path)
    seen = []
    for backend in ("torch", "openvino"):
        found = NetworkModel(weights, "cpu", backend).open(volume)
        found.add(point(geometry, (12, 25, 30)))
        seen.append(found.result().expand(SHAPE))
    assert (seen[0] != seen[1]).mean() < 1e-3


def test_weights_that_are_not_what_their_card_says_are_refused(tmp_path):
    weights_of(tmp_path / "a")
    with pytest.raises(RefusedError, match="holds no weights of a click network"):
        ClickWeights.of(tmp_path)
    file = tmp_path / "a" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-2] + b"xx")
    with pytest.raises(RefusedError, match="has the checksum"):
        ClickWeights.of(tmp_path / "a").load()
    weights_of(tmp_path / "b")
    card = json.loads((tmp_path / "b" / "card.json").read_text())
    (tmp_path / "b" / "card.json").write_text(json.dumps({**card, "size": "s24"}))
    with pytest.raises(RefusedError, match="does not fit a click network of size s24"):
        ClickWeights.of(tmp_path / "b").load()
    (tmp_path / "b" / "card.json").write_text("[1]")
    with pytest.raises(RefusedError, match="holds no weights"):
        ClickWeights.of(tmp_path / "b")


def twins(geometry):
    """A kidney-like organ on the patient's right and a larger one on the left, of the same intensity."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    patient = geometry.to_patient(index)
    inside = [
        (((patient - np.array(centre)) / radii) ** 2).sum(-1) <= 1
        for centre, radii in (((-22, 45, 335), (9, 14, 16)), ((20, 45, 335), (13, 17, 23)))
    ]
    voxels = np.full(geometry.shape, -90.0)
    voxels[inside[0] | inside[1]] = 60
    voxels += np.random.default_rng(5).normal(0, 15, geometry.shape)
    return Volume(voxels.astype(np.int16), geometry, "CT", "HU"), inside


def test_the_shipped_network_finds_the_organ_and_not_its_twin():
    weights = packaged_weights()
    assert weights is not None
    assert (PACKAGED / "weights.safetensors").stat().st_size <= 12_000_000
    assert [card.id for card in available_engines()] == ["regions", "network"]
    geometry = Geometry.from_spacing((24, 60, 70), (3.0, 1.2, 1.2), (-40.0, 12.0, 300.0))
    volume, (right, left) = twins(geometry)
    found = load_engine("network", "cpu").open(volume)
    found.add(PointPrompt((-22.0, 45.0, 335.0)))
    mask = found.result().expand(volume.voxels.shape)
    assert overlap(mask, right) > 0.9
    assert not (mask & left).any()


def test_the_shipped_network_converges_where_contrast_is_poor():
    geometry = Geometry.from_spacing((24, 60, 70), (3.0, 1.2, 1.2), (-40.0, 12.0, 300.0))
    volume, (_, left) = twins(geometry)
    voxels = volume.voxels.astype(np.float32)
    voxels[~left & (voxels > -30)] = 20
    found, random = load_engine("network", "cpu").open(volume), np.random.default_rng(0)
    mask = np.zeros(left.shape, bool)
    for _ in range(4):
        click = next_click(mask, left, geometry, random)
        if click is None:
            break
        found.add(click)
        mask = found.result().expand(left.shape)
    assert overlap(mask, left) > 0.85
