"""nnInteractive's own packages, with a small network of random weights, here and on a loopback server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import numpy as np
import pytest

from napari_volseg.core import (
    BoxMask,
    BoxPrompt,
    Geometry,
    LassoPrompt,
    PointPrompt,
    RefusedError,
    ScribblePrompt,
    UsageError,
    Volume,
)
from napari_volseg.interactive.nninteractive import local_nninteractive, remote_nninteractive

SHAPE = (40, 48, 44)
PATCH = [32, 32, 32]
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    "arch_kwargs": {
        "n_stages": 3,
        "features_per_stage": [4, 6, 8],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 3,
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "n_blocks_per_stage": [1, 1, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def plans():
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    return {
        "dataset_name": "Dataset999_Random",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "foreground_intensity_properties_per_channel": {},
        "configurations": {
            "3d_fullres": {
                "data_identifier": "random",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 1,
                "patch_size": PATCH,
                "spacing": [1.0, 1.0, 1.0],
                "normalization_schemes": ["ZScoreNormalization"],
                "use_mask_for_norm": [False],
                "architecture": ARCHITECTURE,
                **{
                    key: value
                    for name in ("data", "seg", "probabilities")
                    for key, value in {
                        f"resampling_fn_{name}": "resample_data_or_seg_to_shape",
                        f"resampling_fn_{name}_kwargs": resampling,
                    }.items()
                },
            }
        },
    }


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A folder as nnInteractive publishes it, whose network knows nothing."""
    torch = pytest.importorskip("torch")
    nnunet = pytest.importorskip("nnunetv2.utilities.plans_handling.plans_handler")
    pytest.importorskip("nnInteractive.inference.inference_session")
    from nnInteractive.trainer.nnInteractiveTrainer import nnInteractiveTrainer_stub

    folder = tmp_path_factory.mktemp("models") / "random"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans()))
    dataset = {"channel_names": {"0": "image"}, "labels": {"background": 0, "object": 1}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(dataset))
    (folder / "inference_info.json").write_text(json.dumps({"point_radius": 2}))
    (folder / "LICENSE").write_text("CC0-1.0\nRandom numbers.\n")
    torch.manual_seed(3)
    manager = nnunet.PlansManager(plans())
    network = nnInteractiveTrainer_stub.build_network_architecture(
        manager, manager.get_configuration("3d_fullres"), 8, 2, enable_deep_supervision=False
    )
    with torch.no_grad():
        network.decoder.seg_layers[-1].bias += torch.tensor([0.6, -0.6])  # else it finds the object everywhere
    checkpoint = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": "3d_fullres"},
        "trainer_name": "nnInteractiveTrainer_stub",
        "logging": {"losses": [np.float32(1)]},
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


@pytest.fixture(scope="module")
def server(model_folder):
    """nnInteractive's own server on this machine's loopback; yields its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "nnInteractive.inference.server.main", "--model-dir", str(model_folder)]
    command += ["--device", "cpu", "--port", str(port), "--host", "127.0.0.1", "--no-torch-compile", "--fold", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy())
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def wait_for(address, process):
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="module")
def volume():
    """Noise with a chiral block, on an anisotropic grid."""
    geometry = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.5), (-40.0, 12.0, 300.0))
    voxels = np.random.default_rng(4).normal(0, 10, SHAPE)
    voxels[5:12, 8:25, 4:14] += 60
    return Volume(voxels.astype(np.int16), geometry, "CT", "HU", "HU")


def at(volume, index):
    return tuple(float(v) for v in volume.geometry.to_patient(index))


def prompts_of(volume):
    corners = tuple(at(volume, index) for index in ((8, 6, 3), (8, 6, 15), (8, 26, 15), (8, 26, 3)))
    stroke = tuple(at(volume, (8, 10 + i, 8)) for i in range(8))
    return (
        PointPrompt(at(volume, (8, 15, 9))),
        ScribblePrompt(stroke, 1.0),
        PointPrompt(at(volume, (15, 30, 25)), positive=False),
        BoxPrompt(corners),
        LassoPrompt(corners),
        LassoPrompt(tuple(at(volume, index) for index in ((15, 28, 20), (15, 28, 30), (15, 36, 30))), positive=False),
    )


def answers(model, volume, **kwargs):
    """Return the mask after each prompt, whole."""
    session = model.open(volume, **kwargs)
    masks = []
    for prompt in prompts_of(volume):
        session.add(prompt)
        masks.append(session.result().expand(SHAPE))
    return masks


@pytest.fixture(scope="module")
def here(model_folder):
    return local_nninteractive(model_folder, "cpu")


@pytest.fixture(scope="module")
def local_answers(here, volume):
    return answers(here, volume)


def test_every_kind_of_prompt_is_answered_and_obeyed(local_answers, here):
    assert here.card.weights_license == "CC0-1.0"
    assert here.capabilities.boxes
    assert here.capabilities.lassos
    assert all(0 < mask.mean() < 1 for mask in local_answers)
    assert len({mask.tobytes() for mask in local_answers}) == len(local_answers)
    for n, mask in enumerate(local_answers):
        assert mask[8, 15, 9]
        assert n < 2 or not mask[15, 30, 25]


def test_a_server_gives_what_this_computer_gives(local_answers, server, volume):
    model = remote_nninteractive(server)
    for near, far in zip(local_answers, answers(model, volume), strict=True):
        np.testing.assert_array_equal(near, far)
    assert "127.0.0.1" in model.card.intended_use
    model.close()


def test_a_prompt_taken_back_leaves_no_trace(local_answers, here, volume):
    session = here.open(volume)
    first, *others = prompts_of(volume)
    for prompt in (first, *others):
        session.add(prompt)
    session.result()
    for prompt in reversed(others):
        session.remove(prompt)
    np.testing.assert_array_equal(session.result().expand(SHAPE), local_answers[0])


def test_two_segments_in_turn_do_not_disturb_each_other(local_answers, here, volume):
    one, other = here.open(volume), here.open(volume)
    prompts = prompts_of(volume)
    other.add(prompts[1])
    other.result()
    one.add(prompts[0])
    one.result()
    other.add(prompts[2])
    other.result()
    one.add(prompts[1])
    np.testing.assert_array_equal(one.result().expand(SHAPE), local_answers[1])


def test_locked_voxels_stay_and_a_segment_is_begun_from(here, volume):
    forbidden = np.zeros(SHAPE, bool)
    forbidden[:, :, 12:] = True
    initial = np.zeros(SHAPE, bool)
    initial[6:10, 10:20, 5:11] = True
    session = here.open(volume, initial=BoxMask.of(initial), forbidden=forbidden)
    np.testing.assert_array_equal(session.result().expand(SHAPE), initial)
    session.add(prompts_of(volume)[0])
    assert not (session.result().expand(SHAPE) & forbidden).any()
    with pytest.raises(RefusedError, match="locked"):
        session.add(PointPrompt(at(volume, (3, 3, 20))))


def test_a_checkpoint_with_code_runs_none(model_folder, tmp_path, volume):
    import shutil

    import torch

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "canary"), "w"))

    folder = tmp_path / "hostile"
    shutil.copytree(model_folder, folder)
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({**torch.load(path, weights_only=False), "extra": Payload()}, path)
    with pytest.raises(RefusedError):
        local_nninteractive(folder, "cpu").open(volume)
    assert not (tmp_path / "canary").exists()


def test_a_folder_that_is_none_and_a_server_that_is_none_are_told(tmp_path):
    with pytest.raises(RefusedError, match=r"plans\.json"):
        local_nninteractive(tmp_path)
    pytest.importorskip("nnInteractive.inference.remote")
    with pytest.raises(UsageError, match="no address"):
        remote_nninteractive("gpu-server")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(RefusedError, match="did not answer"):
            remote_nninteractive(dead)
