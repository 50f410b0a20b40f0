"""The trainer of the click network on tiny volumes: it learns from what is meant, and goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from napari_volseg.interactive.click_network import SIZES, build_click_network  # noqa: E402
from napari_volseg.interactive.encoding import encode  # noqa: E402
from napari_volseg.training import train_clicks  # noqa: E402
from napari_volseg.training.click_simulation import first_hints, next_clicks  # noqa: E402
from napari_volseg.training.click_targets import Pool  # noqa: E402
from napari_volseg.training.synthetic import SyntheticVolumes  # noqa: E402
from napari_volseg.training.synthetic_templates import Template, Templates  # noqa: E402


@pytest.fixture(scope="module")
def pool() -> Pool:
    made = Pool(SyntheticVolumes("cpu", 1), 8, 48, "cpu")
    for _ in range(2):
        made.refresh(4)
    return made


def test_volumes_are_a_function_of_seed_and_step() -> None:
    first, again = (SyntheticVolumes("cpu", 3).draw(2, 32, 5) for _ in range(2))
    other, _ = SyntheticVolumes("cpu", 3).draw(2, 32, 6)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other)


def test_volumes_are_finite_and_have_several_objects() -> None:
    source = SyntheticVolumes("cpu", 4)
    for step in range(6):
        images, labels = source.draw(2, 40, step)
        assert images.shape == labels.shape == (2, 1, 40, 40, 40)
        assert images.dtype == torch.float32
        assert labels.dtype == torch.int16
        assert images.isfinite().all()
        assert int(labels.min()) >= 0
        assert int(labels.max()) < 256
        assert len(labels.unique()) > 3


def test_templates_give_their_shapes_and_survive_a_file(tmp_path: Path) -> None:
    labels = np.zeros((60, 60, 60), np.uint8)
    labels[10:50, 10:50, 10:30] = 1
    labels[10:50, 10:50, 30:50] = 2
    item = Template(
        labels, (1.0, 1.0, 1.0), {0: "air", 1: "soft", 2: "bone"}, np.arange(256), np.arange(256) * 2 % 256
    )
    Templates((item,)).save(tmp_path / "t.npz")
    source = SyntheticVolumes("cpu", 1, Templates.load(tmp_path / "t.npz"))
    seen = [set(source.draw(2, 32, step)[1].unique().tolist()) for step in range(12)]
    assert any(ids <= {0, 2, 4} and {2, 4} & ids for ids in seen)


def test_targets_are_one_piece_of_the_size_asked_for(pool: Pool) -> None:
    from scipy import ndimage

    targets = pool.draw(12, 32, torch.Generator().manual_seed(2))
    assert targets.image.shape == targets.mask.shape == targets.edges.shape == (12, 1, 32, 32, 32)
    for mask, valid in zip(targets.mask[:, 0].numpy(), targets.valid, strict=True):
        assert bool(valid) == (30 <= mask.sum() <= 0.6 * 32**3)
        # gaps of a voxel are bridged: dilated once, a target hangs together
        assert ndimage.label(ndimage.binary_dilation(mask, np.ones((3, 3, 3))), np.ones((3, 3, 3)))[1] <= 1


def test_first_hints_are_true(pool: Pool) -> None:
    generator = torch.Generator().manual_seed(7)
    targets = pool.draw(40, 32, generator)
    hints = first_hints(targets.mask, generator)
    rows = torch.arange(40)[:, None]
    truth = targets.mask[rows, 0, hints.points[..., 0], hints.points[..., 1], hints.points[..., 2]]
    given = hints.signs != 0
    assert ((2 * truth.long() - 1) == hints.signs)[given].float().mean() > 0.9  # a few users click wrongly
    assert (hints.signs[:, 0] != 0).float().mean() > 0.5
    told = (hints.inside == 1) | (hints.outside == 1)
    assert torch.equal(targets.mask[told], (hints.inside == 1)[told])


def test_a_click_lies_in_the_error_and_says_which_side_is_right() -> None:
    target = torch.zeros((2, 1, 32, 32, 32), dtype=torch.bool)
    target[:, :, 8:24, 8:24, 8:24] = True
    found = target.clone()
    found[0, :, 8:24, 8:24, 8:16] = False
    found[1, :, 8:24, 8:24, 24:30] = True
    clicks = [next_clicks(found, target, torch.Generator().manual_seed(s)) for s in range(40)]
    assert np.mean([[8 <= c[0, 2] < 17, 22 <= c[1, 2] < 32] for c, _ in clicks]) > 0.95
    assert np.mean([[int(s[0]) == 1, int(s[1]) == -1] for _, s in clicks]) > 0.85
    _, none = next_clicks(target, target, torch.Generator().manual_seed(1))
    assert none.tolist() == [0, 0]


def test_points_beyond_the_patch_leave_no_cue() -> None:
    zero = torch.zeros((1, 1, 32, 32, 32))
    points = torch.tensor([[[16, 4, 9], [200, 1, 1], [5, 5, 5]]])
    seen = encode(torch.rand_like(zero), points, torch.tensor([[1, 1, -1]]), zero, zero, zero)
    assert seen.shape == (1, 8, 32, 32, 32)
    assert (seen[0, 3] == 1).nonzero().float().mean(0).tolist() == [16, 4, 9]
    assert (seen[0, 4] == 1).nonzero().float().mean(0).tolist() == [5, 5, 5]
    assert seen.abs().max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_networks_answer_on_the_grid_that_they_see(size: str) -> None:
    network = build_click_network(size).eval()
    with torch.inference_mode():
        logits, quality = network(torch.rand(1, 8, 64, 64, 64))
    assert logits.shape == (1, 2, 64, 64, 64)
    assert quality.shape == (1,)
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters < {"s24": 5.6e6, "small": 1.1e6}[size]


def test_the_trainer_goes_on_where_it_was(tmp_path: Path) -> None:
    options = "--size small --device cpu --phases 1:64:4 --pool 4 --pool-edge 64 --fill 4 --fresh 4 --validation 1"
    command = ["--out", str(tmp_path), "--minutes", "0.04", *options.split()]
    assert train_clicks.main(command) == 0
    before = json.loads((tmp_path / "state.json").read_text())
    assert before["steps"] >= 1
    assert train_clicks.main([*command, "--resume", str(tmp_path)]) == 0
    after = json.loads((tmp_path / "state.json").read_text())
    assert after["steps"] > before["steps"]
    assert after["samples"] == 4 * after["steps"]
    assert max(p.stat().st_size for p in tmp_path.iterdir()) <= 16 * 2**20
