"""What all networks share: channels, finished bands, time left, memory."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import Box, CancelToken, Geometry, Progress, RefusedError, Volume
from napari_volseg.inference import Band, NnunetModel, build_unet, parse_plan, write_model_folder
from napari_volseg.inference.engine import window_counter
from napari_volseg.inference.memory import MemoryNeed, memory_need
from napari_volseg.inference.sliding import WindowGrid

Json = dict[str, Any]


def noise(shape: tuple[int, int, int], seed: int = 0, spacing: tuple[float, float, float] = (1, 1, 1)) -> Volume:
    voxels = np.random.default_rng(seed).normal(100, 30, shape).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing(shape, spacing), "MR")


@pytest.mark.parametrize("transpose", [[0, 1, 2], [2, 0, 1]])
@pytest.mark.parametrize("orientation", ["", "LIA", "ARS"])
def test_bands_are_final_and_cover_every_voxel_once(
    trained_folder: Path, plans: Json, transpose: list[int], orientation: str
) -> None:
    plans["transpose_forward"] = transpose
    (trained_folder / "plans.json").write_text(json.dumps(plans))
    (trained_folder / "card.json").write_text(json.dumps({"configuration": "3d_fullres", "orientation": orientation}))
    volume = noise((11, 25, 18), spacing=(1.3, 0.8, 1.1))
    told, seen = np.zeros(volume.geometry.shape, int), np.zeros(volume.geometry.shape, np.uint8)

    def take(band: Band) -> None:
        told[band.box.slices] += 1
        seen[band.box.slices] = band.labels

    labels = NnunetModel(trained_folder).predict(volume, bands=take).labels
    assert len(np.unique(labels)) > 1
    assert (told == 1).all()
    np.testing.assert_array_equal(seen, labels)


@pytest.mark.parametrize("transpose", [[0, 1, 2], [2, 0, 1]])
@pytest.mark.parametrize("orientation", ["", "IRA", "ARS"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_bands_begin_at_the_slice_that_is_looked_at(
    trained_folder: Path, plans: Json, transpose: list[int], orientation: str, axis: int
) -> None:
    plans["transpose_forward"] = transpose
    (trained_folder / "plans.json").write_text(json.dumps(plans))
    (trained_folder / "card.json").write_text(json.dumps({"configuration": "3d_fullres", "orientation": orientation}))
    shape = [12, 12, 12]
    shape[axis] = 60  # whichever axis of the network that is, bands follow it
    volume = noise((shape[0], shape[1], shape[2]), spacing=(1.1, 1.1, 1.1))
    model = NnunetModel(trained_folder)
    plain = model.predict(volume)
    for index in (41, 19):
        start, stop = [0, 0, 0], list(shape)
        start[axis], stop[axis] = index, index + 1
        bands: list[Band] = []
        found = model.predict(volume, bands=bands.append, look_at=Box.of(start, stop))
        np.testing.assert_array_equal(found.labels, plain.labels)
        told = np.zeros(shape, int)
        for band in bands:
            told[band.box.slices] += 1
        assert (told == 1).all()
        assert any(band.box.start[axis] <= index < band.box.stop[axis] for band in bands[:2])
        assert plain.report.windows < found.report.windows < 1.25 * plain.report.windows
        across = [0, 0, 0]
        other = Box.of(across, [1 if a == (axis + 1) % 3 else n for a, n in enumerate(shape)])
        assert model.predict(volume, look_at=other).report.windows == plain.report.windows


def test_bands_come_while_windows_are_still_to_be_run(trained_folder: Path) -> None:
    events: list[str] = []
    NnunetModel(trained_folder).predict(
        noise((30, 10, 10)),
        progress=lambda p: events.append("window") if p.total else None,
        bands=lambda band: events.append("band"),
    )
    first = events.index("band")
    assert 0 < first < len(events) // 4
    assert events[-1] == "band"


def test_the_time_left_is_told() -> None:
    told: list[Progress] = []
    now = iter([10.0, 14.0, 400.0])
    before_window = window_counter(6, told.append, CancelToken(), lambda: next(now))
    for _ in range(4):
        before_window()
    assert [p.message for p in told] == [f"window {n} of 6" for n in (1, 2, 3, 4)]
    assert [p.seconds_left for p in told] == [None, None, 16.0, 585.0]


@pytest.fixture
def two_channels(tmp_path: Path, plans: Json, dataset: Json) -> NnunetModel:
    """A model of two channels whose first kernel sees the difference of both."""
    dataset["channel_names"] = {"0": "T1", "1": "FLAIR"}
    plans["configurations"]["3d_fullres"] |= {
        "normalization_schemes": ["ZScoreNormalization", "NoNormalization"],
        "use_mask_for_norm": [False, False],
    }
    torch.manual_seed(0)
    network = build_unet(parse_plan(plans, dataset, "3d_fullres").architecture, 2, 3)
    write_model_folder(
        tmp_path / "m",
        plans=plans,
        dataset=dataset,
        configuration="3d_fullres",
        weights=network.state_dict(),
        card={},
    )
    return NnunetModel(tmp_path / "m")


def test_channels_reach_the_network_in_their_order(two_channels: NnunetModel) -> None:
    a, b = noise((6, 12, 9)), noise((6, 12, 9), seed=1)
    assert two_channels.card.channels == ("T1", "FLAIR")
    seen: list[torch.Tensor] = []

    def forward(window: torch.Tensor) -> torch.Tensor:
        seen.append(window.clone())
        return torch.zeros(1, 3, *window.shape[2:])

    two_channels.__dict__["_networks"] = (forward,)
    two_channels.predict(a, further=[b])
    scored = (a.voxels - a.voxels.mean()) / a.voxels.std()
    np.testing.assert_allclose(seen[0][0, 0], scored[:4, :8, :8], atol=1e-4)
    np.testing.assert_array_equal(seen[0][0, 1], b.voxels[:4, :8, :8])


def test_missing_and_displaced_channels_are_refused(two_channels: NnunetModel) -> None:
    with pytest.raises(RefusedError, match=r"needs 2 images \(T1, FLAIR\), and 1 came"):
        two_channels.predict(noise((6, 12, 9)))
    with pytest.raises(RefusedError, match="another grid"):
        two_channels.predict(noise((6, 12, 9)), further=[noise((6, 12, 9), spacing=(1, 1, 1.5))])


def test_folds_are_averaged(trained_folder: Path, checkpoint: Json) -> None:
    single = NnunetModel(trained_folder).open_network(torch.device("cpu"), "torch").forward
    other = copy.deepcopy(checkpoint)
    other["network_weights"] = {name: tensor * 1.5 for name, tensor in checkpoint["network_weights"].items()}
    (trained_folder / "fold_1").mkdir()
    torch.save(other, trained_folder / "fold_1" / "checkpoint_final.pth")
    (trained_folder / "fold_0").rename(trained_folder / "fold_all")
    second = NnunetModel(trained_folder).open_network(torch.device("cpu"), "torch").forward
    (trained_folder / "fold_all").rename(trained_folder / "fold_0")
    both = NnunetModel(trained_folder).open_network(torch.device("cpu"), "torch").forward
    window = torch.randn(1, 1, 4, 8, 8)
    with torch.inference_mode():
        expected = (single(window) + second(window)) / 2
        assert (single(window) - second(window)).abs().max() > 0.01
        torch.testing.assert_close(both(window), expected)


MEASURE = """
import sys
from types import SimpleNamespace
import numpy as np, torch
from napari_volseg.core import Box
from napari_volseg.inference.engine import LoadedNetwork, Run, _fill, _Task
from napari_volseg.inference.memory import Placement
from napari_volseg.inference.outputs import Exclusive
from napari_volseg.inference.preprocessing import PreparedImage
from napari_volseg.inference.runs import Stopwatch, peak_memory_bytes
from napari_volseg.inference.sliding import WindowGrid

def label(depth, plane=None):
    grid = WindowGrid((depth, 100, 96), (32, 64, 64))
    labels, logits = np.zeros((depth * 2, 150, 144), np.uint8), torch.randn(1, 80, *grid.patch)
    prepared = PreparedImage(np.zeros((1, *grid.shape), np.float32), Box.whole(labels.shape), None)
    network, plan = LoadedNetwork(lambda window: logits, "none"), SimpleNamespace(outputs=Exclusive(("",) * 80))
    passes, cpu = grid.passes(plane), torch.device("cpu")
    task = _Task(network, prepared, grid, plan, cpu, Placement(True, True), passes, None)
    _fill(labels, task, Stopwatch(), Run(), lambda: None, lambda begin, end: None)
    return len(passes)

torch.set_num_threads(1)
label(64)
with open("/proc/self/status") as status:
    resident = next(int(l.split()[1]) * 1024 for l in status if l.startswith("VmRSS:"))
open("/proc/self/clear_refs", "w").write("5")
passes = label(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2] else None)
print(peak_memory_bytes() - resident, passes)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured through /proc")
@pytest.mark.parametrize(("depth", "plane"), [(64, ""), (256, ""), (256, "150")])
def test_peak_memory_is_what_the_formula_says(depth: int, plane: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(depth), plane], capture_output=True, text=True, check=True, timeout=240
    )
    measured, passes = map(int, run.stdout.split())
    assert passes == (2 if plane else 1)
    grid = WindowGrid((depth, 100, 96), (32, 64, 64))
    need = memory_need(grid, (depth * 2, 150, 144), 1, 80, seams=passes - 1)
    assert measured == pytest.approx(need.peak, rel=0.1)


def test_logits_take_no_more_memory_in_a_longer_volume() -> None:
    def need(slices: int) -> MemoryNeed:
        return memory_need(WindowGrid((slices, 256, 256), (128, 128, 128)), (slices * 3 // 2, 512, 512), 1, 118)

    long, short = need(800), need(400)
    assert (long.band, long.window) == (short.band, short.window)
    assert long.peak - short.peak == long.image + long.labels - short.image - short.labels
    assert long.peak < 6e9  # 512 × 512 × 1200 voxels, 118 segments at 1.5 mm
