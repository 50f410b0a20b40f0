"""Checkpoints: numbers are read, code never is."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import RefusedError
from napari_volseg.inference.checkpoints import PickledType, number_from_pickle, read_checkpoint


class Canary:
    """Makes a file when it is unpickled by someone who runs what pickles ask for."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_nnunets_checkpoint_with_numpy_numbers_is_read(trained_folder: Path, checkpoint: dict[str, Any]) -> None:
    read = read_checkpoint(trained_folder / "fold_0" / "checkpoint_final.pth")
    assert read.configuration == "3d_fullres"
    assert read.mirroring_axes == (0, 1, 2)
    assert read.weights.keys() < checkpoint["network_weights"].keys()
    name = "decoder.seg_layers.0.weight"
    assert torch.equal(read.weights[name], checkpoint["network_weights"][name])


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_a_payload_does_not_run(tmp_path: Path, checkpoint: dict[str, Any], save: Any) -> None:
    path, trace = tmp_path / "checkpoint_final.pth", tmp_path / "trace"
    save({**checkpoint, "logging": Canary(trace)}, path)
    with pytest.raises(RefusedError, match="more than numbers") as refusal:
        read_checkpoint(path)
    assert refusal.value.code == "model.unsafe"
    assert not trace.exists()


def test_numpy_objects_are_not_let_in(tmp_path: Path, checkpoint: dict[str, Any]) -> None:
    path = tmp_path / "checkpoint_final.pth"
    torch.save({**checkpoint, "logging": np.array([1, "x"], dtype=object)}, path)
    with pytest.raises(RefusedError):
        read_checkpoint(path)
    with pytest.raises(ValueError, match="not a number"):
        PickledType("O")
    with pytest.raises(ValueError, match="bytes"):
        number_from_pickle(PickledType("f8"), b"1234")


@pytest.mark.parametrize("name", ["checkpoint_final.pth", "checkpoint_final.safetensors"])
@pytest.mark.parametrize("content", [b"", b"this is not a checkpoint", b"PK\x03\x04 broken archive"])
def test_files_that_are_no_checkpoints(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=name) as refusal:
        read_checkpoint(path)
    assert refusal.value.code == "model.checkpoint"


def test_a_truncated_checkpoint_is_refused(trained_folder: Path) -> None:
    path = trained_folder / "fold_0" / "checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(RefusedError, match="is not a checkpoint"):
        read_checkpoint(path)


def test_tensors_alone_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"layer": torch.zeros(2)}, path)
    with pytest.raises(RefusedError, match="network_weights"):
        read_checkpoint(path)
