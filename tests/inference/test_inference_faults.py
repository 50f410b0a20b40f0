"""Whatever fails, and whenever a run is cancelled: the same labels or one sentence, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_volseg.core import CancelledError, CancelToken, Geometry, Progress, RefusedError, Volume
from napari_volseg.inference import Band, NnunetModel
from napari_volseg.inference.engine import LoadedNetwork
from napari_volseg.inference.memory import MemoryNeed, Placement, placement
from napari_volseg.inference.sliding import WindowGrid, stream_logits

HERE = Path(__file__).parent


@pytest.fixture
def model(trained_folder: Path) -> NnunetModel:
    """A model that runs 12 windows over `volume`, in three bands."""
    return NnunetModel(trained_folder)


@pytest.fixture
def volume() -> Volume:
    """Noise in which the model finds something."""
    voxels = np.random.default_rng(0).normal(100, 30, (8, 12, 11)).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing(voxels.shape), "MR")


WINDOWS = 12


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets allocations fail."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("watcher") / "failing.so"
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing_allocations.c"], check=False
    )
    if built.returncode:
        pytest.skip("the C library is not glibc")
    return library


@pytest.mark.parametrize("lasting", [0, 1], ids=["one fails", "all fail from then on"])
def test_every_allocation_may_fail(trained_folder: Path, watcher: Path, lasting: int) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(watcher), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, HERE / "failing_worker.py", trained_folder, str(lasting)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["faults"] > 50
    assert result["refused"] > 20


FAULTS = {
    "no memory": MemoryError(),
    "no memory of a device": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "no memory in torch's words": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 4 bytes"),
    "another error": RuntimeError("could not create a primitive\nsecond line"),
    "an error of a back end": type("BackEndError", (Exception,), {})("no kernel"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_every_window_may_fail(model: NnunetModel, volume: Volume, kind: str) -> None:
    network = model.open_network(torch.device("cpu"), "torch")
    expected = model.predict(volume, device="cpu", backend="torch").labels
    for failing in range(WINDOWS):
        calls: list[int] = []

        def forward(window: torch.Tensor, calls: list[int] = calls, failing: int = failing) -> torch.Tensor:
            calls.append(1)
            if len(calls) > failing:
                raise FAULTS[kind]
            return network.forward(window)

        model._opened = model._opened[0], LoadedNetwork(forward, "torch")
        with pytest.raises(RefusedError) as refusal:
            model.predict(volume, device="cpu", backend="torch")
        assert len(calls) == failing + 1
        assert "\n" not in str(refusal.value)
        assert refusal.value.code == ("device.memory" if "no memory" in kind else "model.failed")
    model._opened = model._opened[0], network
    np.testing.assert_array_equal(model.predict(volume, device="cpu", backend="torch").labels, expected)


def test_cancelling_after_any_window_leaves_nothing_behind(
    model: NnunetModel, volume: Volume, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = model.predict(volume, device="cpu", backend="torch").labels
    threads, files = threading.active_count(), sorted(tmp_path.rglob("*"))
    network = model.open_network(torch.device("cpu"), "torch")
    told_before = set()
    for last in range(1, WINDOWS + 1):
        cancel, calls, late, early = CancelToken(), [], [], []  # type: ignore[var-annotated]

        def forward(window: torch.Tensor, cancel=cancel, calls=calls, last=last) -> torch.Tensor:  # type: ignore[no-untyped-def]
            calls.append(1)
            if len(calls) == last:
                cancel.cancel()
            return network.forward(window)

        def take(band: Band, cancel=cancel, late=late, early=early) -> None:  # type: ignore[no-untyped-def]
            (late if cancel.cancelled else early).append(band.box)

        model._opened = model._opened[0], LoadedNetwork(forward, "torch")
        with pytest.raises(CancelledError):
            model.predict(volume, device="cpu", backend="torch", cancel=cancel, bands=take)
        assert len(calls) == last
        assert late == []
        assert threading.active_count() == threads
        assert sorted(tmp_path.rglob("*")) == files
        told_before.add(len(early))
    assert told_before == {0, 1, 2}
    model._opened = model._opened[0], network
    np.testing.assert_array_equal(model.predict(volume, device="cpu", backend="torch").labels, expected)


def test_a_run_that_needs_more_memory_than_is_free_never_begins(
    model: NnunetModel, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Progress] = []
    monkeypatch.setattr("napari_volseg.inference.memory.free_bytes", lambda device: 5_000)
    with pytest.raises(RefusedError, match="GB are free: close other programs") as refusal:
        model.predict(volume, device="cpu", backend="torch", progress=told.append)
    assert refusal.value.code == "memory.need"
    assert not any(progress.total for progress in told)
    monkeypatch.setattr("napari_volseg.inference.memory.free_bytes", lambda device: 200_000)
    assert model.predict(volume, device="cpu", backend="torch").labels.any()


NEED = MemoryNeed(image=100, planes=30, band=1000, window=50, labels=7)


@pytest.mark.parametrize(
    ("device", "expected"),
    [(1150, Placement(True, True)), (1149, Placement(True, False)), (149, Placement(False, False))],
)
def test_where_accumulators_go_is_arithmetic(device: int, expected: Placement) -> None:
    assert placement(NEED, 10_000, device) == expected


@pytest.mark.parametrize(
    ("host", "device", "suffices"),
    [(1157, None, True), (1156, None, False), (137, 1150, True), (136, 1150, False), (1157, 200, True),
     (1156, 200, False)],
)  # fmt: skip
def test_what_the_computer_must_hold(host: int, device: int | None, suffices: bool) -> None:
    if suffices:
        assert placement(NEED, host, device)
        return
    with pytest.raises(RefusedError, match="are free"):
        placement(NEED, host, device)


def test_the_band_lies_where_it_is_put() -> None:
    grid, image = WindowGrid((8, 12, 11), (4, 8, 8)), torch.zeros(1, 8, 12, 11)
    blocks = stream_logits(lambda window: window, image, grid, 1, lambda: None, torch.device("meta"))
    assert {planes.device.type for _, planes in blocks} == {"meta"}
