"""The model of brain structures and the images that it learns from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch", reason="the inference extra is not installed")

from napari_volseg.app.postprocessing import corrected, corrections  # noqa: E402
from napari_volseg.formats import open_volume  # noqa: E402
from napari_volseg.inference import load_model  # noqa: E402
from napari_volseg.training.brain_images import HeadImages, contrasts  # noqa: E402
from napari_volseg.training.brain_maps import STRUCTURES, HeadMaps  # noqa: E402
from napari_volseg.training.train_brain import Recipe, Training, overlap_loss, validated, write_model  # noqa: E402


def balls(shape=(40, 44, 36)):
    """A map of a skull, a brain, and a structure within that lies to one side."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"), -1)
    labels = np.zeros(shape, np.uint8)
    labels[np.linalg.norm(grid, axis=-1) < 0.95] = 1
    labels[np.linalg.norm(grid, axis=-1) < 0.8] = 2
    labels[np.linalg.norm(grid - (0.2, 0, 0.4), axis=-1) < 0.25] = 3
    return labels


@pytest.fixture(scope="module")
def maps():
    labels = np.stack([balls() for _ in range(6)])
    return HeadMaps(labels, np.array([0, 1, 2, 2]), np.array([0, 0, 3, 3]), np.array([0, 0, 1, 4]))


def test_maps_come_back_as_they_were_saved_and_are_parted(maps, tmp_path):
    maps.save(tmp_path / "maps.npz")
    found = HeadMaps.load(tmp_path / "maps.npz")
    assert all(np.array_equal(getattr(found, name), getattr(maps, name)) for name in ("labels", "tissues", "targets"))
    assert len(found.part(held_out=False).labels) == 2
    assert len(found.part(held_out=True).labels) == 4


def test_the_same_seed_and_step_give_the_same_images(maps):
    first, again, other = (HeadImages(maps, "cpu", 3).draw(2, 32, step) for step in (5, 5, 6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].mean((1, 2, 3, 4)).abs().max() < 1e-4
    assert (first[0].std((1, 2, 3, 4)) - 1).abs().max() < 1e-3
    assert set(first[1].unique().tolist()) <= {0, 1, 4}
    assert (first[1] == 1).any()


def test_tissues_that_share_an_intensity_are_told_by_place_alone(maps):
    means, spread = contrasts(np.random.default_rng(0), 50, maps)
    assert means.shape == spread.shape == (50, 3)
    assert means.min() >= 0
    assert np.ptp(means[:, 1]) > 500


def test_the_loss_falls_and_the_model_can_be_run(maps, tmp_path):
    recipe = Recipe(edge=32, features=(4, 8, 16), batch=2, rate=1e-2)
    training = Training(recipe, "cpu")
    images = HeadImages(maps, "cpu", 1)
    losses = [float(training.step(*images.draw(2, 32, step), step / 60)) for step in range(40)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
    assert set(validated(training, maps, 1)) == {s.name for s in STRUCTURES}
    model = load_model(write_model(tmp_path / "model", training, {}))
    assert [s.name for s in model.card.segments] == [s.name for s in STRUCTURES]
    again = Training(recipe, "cpu")
    again.restore(training.averaged())
    assert all(torch.allclose(a, b, atol=1e-2) for a, b in zip(again.mean, training.mean, strict=True))


def test_a_perfect_answer_costs_nothing():
    labels = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    labels[:, 2:5, 3:6, 1:7] = 1
    logits = 40 * torch.nn.functional.one_hot(labels, 2).movedim(-1, 1).float()
    assert overlap_loss(logits, labels) < 1e-3
    assert overlap_loss(-logits, labels) > 1


def test_the_shipped_model_finds_the_structures_of_a_real_head(real_data):
    model = load_model("brain-structures")
    volume = open_volume(real_data / "dcm_qa_decubitus" / "In" / "HFS")
    prediction = model.predict(volume, device="cpu")
    labels = corrected(prediction.labels, corrections(model.card, prediction, volume.geometry))
    millilitres = np.bincount(labels.ravel(), minlength=len(STRUCTURES) + 1) * np.prod(volume.geometry.spacing) / 1000
    volume_of = {s.name: millilitres[s.value] for s in model.card.segments}
    assert 300 < volume_of["Cerebral white matter"] < 700
    assert 400 < volume_of["Cerebral cortex"] < 900
    assert 90 < volume_of["Cerebellum"] < 200
    assert 5 < volume_of["Thalamus"] < 40
    middle = {s.name: volume.geometry.to_patient(np.argwhere(labels == s.value)).mean(0) for s in model.card.segments}
    _, back, up = (middle["Cerebellum"] - middle["Thalamus"]).tolist()
    assert back > 20
    assert up < -20
    assert middle["Caudate nucleus"][1] < middle["Thalamus"][1]
    inside = labels[ndimage.binary_dilation(labels == 3, iterations=2)]
    assert (inside > 0).mean() > 0.7
