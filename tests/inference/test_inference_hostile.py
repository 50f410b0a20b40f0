"""Model files made to do harm: none runs, none allocates what it claims, each is refused in one sentence at once."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pickle
import struct
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import Geometry, RefusedError, Volume
from napari_volseg.inference import load_model
from napari_volseg.inference.backends import is_installed

Json = dict[str, Any]

SECONDS = 2.0
MEGABYTES = 200  # of resident memory, where files claim gigabytes and terabytes


class Payload:
    """Makes a folder when it is unpickled by someone who runs what pickles ask for."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place that stays empty."""
    path = tmp_path_factory.mktemp("cage") / "canary"
    yield path
    assert not path.exists()


def resident(entry: str) -> float:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return next(int(words[1]) / 1e3 for words in lines if words[0] == entry)


def refused(folder: Path, *codes: str, trusted: bool = False) -> RefusedError:
    """Return how a model is refused, by its loading or its first prediction, having watched clock and memory."""
    volume = Volume(np.ones((8, 8, 8), np.float32), Geometry.from_spacing((8, 8, 8)), "CT", "HU")
    measured = Path("/proc/self/clear_refs").exists()
    if measured:
        Path("/proc/self/clear_refs").write_text("5")
    before, start = resident("VmRSS:") if measured else 0.0, time.process_time()
    with pytest.raises(RefusedError) as refusal:
        load_model(folder, trusted=trusted).predict(volume, device="cpu", backend="torch")
    assert time.process_time() - start < SECONDS
    if measured:
        assert resident("VmHWM:") - before < MEGABYTES
    message = str(refusal.value)
    assert "\n" not in message
    assert 20 < len(message) < 900
    assert refusal.value.code in codes, message
    return refusal.value


@pytest.fixture(autouse=True)
def everything_is_imported(trained_folder: Path) -> None:
    """Imports count neither as time nor as memory of a hostile file."""
    nets = pytest.importorskip("monai.networks.nets")
    with torch.device("meta"), contextlib.suppress(Exception):
        nets.SwinUNETR(1, 2)
    volume = Volume(np.ones((8, 8, 8), np.float32), Geometry.from_spacing((8, 8, 8)), "CT", "HU")
    load_model(trained_folder).predict(volume, device="cpu", backend="torch")


# 1 to 5: pickles with a payload, in every place and in every layout of torch

PLACES: dict[str, Callable[[Json, Payload], Json]] = {
    "weights": lambda c, p: {**c, "network_weights": {**c["network_weights"], "extra": p}},
    "instead of weights": lambda c, p: {**c, "network_weights": p},
    "optimizer": lambda c, p: {**c, "optimizer_state": {"state": {0: {"momentum": p}}}},
    "init_args": lambda c, p: {**c, "init_args": {**c["init_args"], "plans": {"nested": [{"deep": (p,)}]}}},
    "log": lambda c, p: {**c, "logging": [np.float64(1.0), p]},
    "key": lambda c, p: {**c, p: 1},
    "whole": lambda c, p: p,  # type: ignore[dict-item, return-value]
}

LAYOUTS: dict[str, Callable[[Any, Path], None]] = {
    "zip": lambda content, path: torch.save(content, path),
    "legacy": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "bare pickle": lambda content, path: path.write_bytes(pickle.dumps(content)) and None,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("place", PLACES)
def test_payloads_in_pickles(trained_folder: Path, checkpoint: Json, canary: Path, place: str, layout: str) -> None:
    content = PLACES[place](checkpoint, Payload(canary))
    LAYOUTS[layout](content, trained_folder / "fold_0" / "checkpoint_final.pth")
    refused(trained_folder, "model.unsafe", "model.checkpoint")


def test_a_payload_in_the_old_tar_layout(trained_folder: Path, canary: Path) -> None:
    with tarfile.open(trained_folder / "fold_0" / "checkpoint_final.pth", "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(Payload(canary), 2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    refused(trained_folder, "model.checkpoint", "model.unsafe")


def test_a_program_that_is_called_a_checkpoint(trained_folder: Path) -> None:
    torch.jit.script(torch.nn.Conv3d(1, 3, 1)).save(trained_folder / "fold_0" / "checkpoint_final.pth")
    refused(trained_folder, "model.checkpoint")


def test_a_payload_by_way_of_the_numbers_of_numpy(trained_folder: Path, canary: Path) -> None:
    # numpy's name is bound to a stand-in of ours; what is asked of its attributes must lead nowhere
    code = f"cnumpy.dtype\n__init__.__globals__\n(S'import os; os.mkdir({str(canary)!r})'\ntR.".encode()
    (trained_folder / "fold_0" / "checkpoint_final.pth").write_bytes(code)
    refused(trained_folder, "model.unsafe", "model.checkpoint")


# 6: files beside the model that a careless loader opens


def test_pickles_beside_the_plans_are_not_opened(trained_folder: Path, canary: Path) -> None:
    for name in ("plans.pkl", "dataset.pkl", "fold_0/checkpoint_final.pth.pkl", "card.pkl", "__init__.py"):
        (trained_folder / name).write_bytes(pickle.dumps(Payload(canary)))
    (trained_folder / "plans.json").unlink()
    refused(trained_folder, "model.folder")


# 7: plans whose figures are meant for the memory

Change = Callable[[Json, Json], Any]


def architecture(plans: Json) -> Json:
    return plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]


def configured(**changes: Any) -> Change:
    return lambda plans, dataset: plans["configurations"]["3d_fullres"].update(changes)


def built(**changes: Any) -> Change:
    return lambda plans, dataset: architecture(plans).update(changes)


def long_chain(plans: Json, dataset: Json) -> None:
    chain = {f"c{i}": {"inherits_from": f"c{i + 1}"} for i in range(50_000)}
    plans["configurations"] = {"3d_fullres": {"inherits_from": "c0"}} | chain


PLANS: dict[str, Change] = {
    "patch of terabytes": configured(patch_size=[2**40, 2**40, 2**40]),
    "negative patch": configured(patch_size=[-4, 8, 8]),
    "patch without end": configured(patch_size=[math.inf, 8, 8]),
    "patch of NaN": configured(patch_size=[math.nan, 8, 8]),
    "patch of a million axes": configured(patch_size=[8] * 10**6),
    "spacing of nothing": configured(spacing=[1e-300, 1.0, 1.0]),
    "spacing of NaN": configured(spacing=[1.0, math.nan, 1.0]),
    "negative spacing": configured(spacing=[1.0, 1.0, -1.0]),
    "splines of any order": configured(resampling_fn_data_kwargs={"order": 10**9}),
    "a billion stages": built(n_stages=10**9, features_per_stage=4, kernel_sizes=3, strides=1),
    "negative stages": built(n_stages=-5),
    "features without end": built(features_per_stage=[4, 10**12]),
    "convolutions without end": built(n_conv_per_stage=[2, 10**4]),
    "kernels of terabytes": built(kernel_sizes=[[10**4] * 3] * 2),
    "wide layers": built(features_per_stage=[2**14] * 2, kernel_sizes=[[63] * 3] * 2),
    "negative strides": built(strides=[[1, 1, 1], [-2, 2, 2]]),
    "a list of words": configured(architecture=["PlainConvUNet"]),
    "a chain of configurations": long_chain,
    "a chain without end": configured(inherits_from="3d_fullres"),
    "a million channels": lambda plans, dataset: dataset.update(channel_names={str(i): "CT" for i in range(10**5)}),
    "labels of any value": lambda plans, dataset: dataset["labels"].update(liver=10**15),
    "regions of any value": lambda plans, dataset: dataset.update(
        labels={"background": 0, "a": [1, 2], "b": [2]}, regions_class_order=[-1, 10**9]
    ),
}


@pytest.mark.parametrize("kind", PLANS)
def test_plans_with_hostile_figures(trained_folder: Path, plans: Json, dataset: Json, kind: str) -> None:
    PLANS[kind](plans, dataset)
    (trained_folder / "plans.json").write_text(json.dumps(plans))
    (trained_folder / "dataset.json").write_text(json.dumps(dataset))
    codes = ("plans", "weights", "labels", "regions", "json", "network")
    refused(trained_folder, *(f"model.{code}" for code in codes))


# 8: JSON that is meant for the parser


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10**6,
        '{"a":' * 10**5,
        "9" * 10**6,
        "[]",
        '{"configurations": ' + "[" * 900 + "]" * 900 + "}",
        "\0",
        "{}",
    ],
    ids=["brackets", "objects", "digits", "list", "nested", "zero", "empty"],
)
def test_json_for_the_parser(trained_folder: Path, text: str) -> None:
    (trained_folder / "plans.json").write_text(text)
    refused(trained_folder, "model.json", "model.plans")


def test_json_of_gigabytes(trained_folder: Path) -> None:
    with (trained_folder / "plans.json").open("wb") as stream:
        stream.truncate(2**34)
    refused(trained_folder, "model.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_files_that_never_end(trained_folder: Path) -> None:
    threads = threading.active_count()
    (trained_folder / "plans.json").unlink()
    os.mkfifo(trained_folder / "plans.json")
    refused(trained_folder, "model.folder")
    (trained_folder / "plans.json").unlink()
    (trained_folder / "plans.json").symlink_to("/dev/zero")
    refused(trained_folder, "model.folder")
    assert threading.active_count() == threads


# 9: cards


def card(**changes: Any) -> Json:
    arguments = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}
    return {
        "network": {"kind": "UNet", "file": "model.pt", "arguments": arguments},
        "channels": [{"name": "CT", "scheme": "NoNormalization"}],
        "labels": ["background", "liver"],
        "spacing": [1.0, 1.0, 1.0],
        "patch_size": [8, 8, 8],
        "orientation": "RAS",
        **changes,
    }


def network(file: str = "model.pt", kind: str = "UNet", **arguments: Any) -> Json:
    return {"kind": kind, "file": file, "arguments": {**card()["network"]["arguments"], **arguments}}


@pytest.fixture
def card_folder(tmp_path: Path) -> Path:
    """A folder with a network of MONAI and a card."""
    from monai.networks.nets import UNet

    folder = tmp_path / "carded"
    folder.mkdir()
    torch.save(UNet(**card()["network"]["arguments"]).state_dict(), folder / "model.pt")
    return folder


CARDS: dict[str, Json] = {
    "path that climbs": {"network": network("../../../../etc/passwd")},
    "absolute path": {"network": network("/etc/passwd")},
    "path of Windows": {"network": network("..\\..\\secret.pt")},
    "path with a zero": {"network": network("model.pt\0.txt")},
    "device": {"network": network("/dev/zero")},
    "code": {"network": network(kind="os.system")},
    "expression": {"network": network(act="$__import__('os').system('x')")},
    "wide network": {"network": network(channels=[2**14, 2**14])},
    "wide and deep": {"network": network(num_res_units=2**14)},
    "million layers": {"network": network(channels=[4] * 10**6, strides=[1] * (10**6 - 1))},
    "wide attention": {"network": {**network(kind="SwinUNETR"), "arguments": {"in_channels": 1, "out_channels": 2,
                       "window_size": 40}}},
    "nothing as stride": {"network": network(strides=[0])},
    "NaN as argument": {"network": network(dropout=math.nan)},
    "windows without steps": {"windows": {"overlap": 1.0, "gaussian": True}},
    "windows backwards": {"windows": {"overlap": -50.0, "gaussian": True}},
    "windows of NaN": {"windows": {"overlap": math.nan, "gaussian": False}},
    "spacing of NaN": {"spacing": [1.0, math.nan, 1.0]},
    "tiny spacing": {"spacing": [1e-200, 1.0, 1.0]},
    "patch without end": {"patch_size": [math.inf, 8, 8]},
    "huge patch": {"patch_size": [10**6] * 3},
    "no labels": {"labels": []},
    "region of any value": {"regions": {"liver": 10**12}},
    "orientation": {"orientation": "RRR"},
    "deviation of nothing": {"channels": [{"name": "CT", "scheme": "CTNormalization", "std": 0}]},
    "colour without end": {"segments": {"liver": {"color": [math.inf, 0, 0]}}},
}  # fmt: skip


@pytest.mark.parametrize("kind", CARDS)
def test_hostile_cards(card_folder: Path, kind: str) -> None:
    (card_folder / "card.json").write_text(json.dumps(card(**CARDS[kind])))
    codes = ("card", "path", "no_weights", "network", "code", "weights", "failed")
    refused(card_folder, *(f"model.{code}" for code in codes))
    assert torch.is_grad_enabled(), "a network whose making was ended left torch without gradients"


def test_a_link_out_of_the_folder(card_folder: Path, tmp_path: Path) -> None:
    (card_folder / "model.pt").rename(tmp_path / "elsewhere.pt")
    (card_folder / "model.pt").symlink_to(tmp_path / "elsewhere.pt")
    (card_folder / "card.json").write_text(json.dumps(card()))
    refused(card_folder, "model.path")


# 10: bundles


def bundle(folder: Path, change: Callable[[Json, Json], Any]) -> Path:
    config = {
        "network_def": {"_target_": "monai.networks.nets.UNet", **card()["network"]["arguments"]},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Orientationd", "axcodes": "RAS"},
                {"_target_": "Spacingd", "pixdim": [1.0, 1.0, 1.0]},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [8, 8, 8]},
    }
    names = {"0": "background", "1": "liver"}
    formats = {"inputs": {"image": {"num_channels": 1}}, "outputs": {"pred": {"channel_def": names}}}
    metadata = {"network_data_format": formats}
    change(config, metadata)
    for part in ("configs", "models"):
        (folder / part).mkdir()
    (folder / "model.pt").rename(folder / "models" / "model.pt")
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def laughs(config: Json, metadata: Json) -> None:
    config |= {f"l{i}": [f"@l{i + 1}"] * 40 for i in range(8)} | {"l8": 1}
    config["network_def"]["channels"] = "@l0"


def nested(config: Json, metadata: Json) -> None:
    deep: Any = 1
    for _ in range(450):
        deep = [deep]
    config["network_def"]["channels"] = deep


BUNDLES: dict[str, Change] = {
    "system": lambda c, m: c.update(network_def={"_target_": "os.system", "command": "mkdir CANARY"}),
    "expression": lambda c, m: c["network_def"].update(out_channels="$__import__('os').mkdir('CANARY')"),
    "expression behind a name": lambda c, m: (
        c["network_def"].update(out_channels="@x") or c.update(x="$__import__('os').mkdir('CANARY')")
    ),
    "macro": lambda c, m: c["network_def"].update(out_channels="%/etc/passwd"),
    "component": lambda c, m: c["network_def"].update(act={"_target_": "os.mkdir", "path": "CANARY"}),
    "transform": lambda c, m: c["preprocessing"]["transforms"].append({"_target_": "Lambdad", "func": "$print"}),
    "ring of names": lambda c, m: c["network_def"].update(out_channels="@a") or c.update(a="@b", b="@a"),
    "names that multiply": laughs,
    "nested lists": nested,
    "channels without end": lambda c, m: m["network_data_format"]["inputs"]["image"].update(num_channels=10**9),
    "windows of terabytes": lambda c, m: c["inferer"].update(roi_size=[10**6] * 3),
    "windows without steps": lambda c, m: c["inferer"].update(overlap=0.9999999),
    "range of nothing": lambda c, m: c["preprocessing"]["transforms"].append(
        {"_target_": "ScaleIntensityRanged", "a_min": 0, "a_max": 1, "b_min": 1, "b_max": 1}
    ),
}


@pytest.mark.parametrize("kind", BUNDLES)
def test_hostile_bundles(card_folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(card_folder)
    refused(bundle(card_folder, BUNDLES[kind]), *(f"model.{c}" for c in ("bundle", "code", "network", "weights")))
    assert not (card_folder / "CANARY").exists()


def test_a_bundle_with_a_link_to_a_device(card_folder: Path) -> None:
    bundle(card_folder, lambda config, metadata: None)
    (card_folder / "configs" / "inference.json").unlink()
    (card_folder / "configs" / "inference.json").symlink_to("/dev/zero")
    refused(card_folder, "model.json")


# 11: programs


def test_an_untrusted_program_does_not_run(card_folder: Path) -> None:
    torch.jit.script(torch.nn.Conv3d(1, 2, 1)).save(card_folder / "model.ts")
    (card_folder / "card.json").write_text(json.dumps(card(network=network("model.ts", "torchscript"))))
    refused(card_folder, "model.untrusted")


# 12: ONNX


@pytest.mark.skipif(not is_installed("onnx"), reason="onnxruntime is not installed")
@pytest.mark.parametrize("kind", ["../secret.bin", "/etc/passwd", "inside.bin", "nonsense", "constant"])
def test_hostile_graphs(card_folder: Path, kind: str) -> None:
    onnx = pytest.importorskip("onnx")
    (card_folder.parent / "secret.bin").write_bytes(b"\1" * 4096)
    (card_folder / "inside.bin").write_bytes(b"\1" * 8)
    content = b"\x08\x07" + os.urandom(64) if kind == "nonsense" else graph(onnx, kind)
    (card_folder / "model.onnx").write_bytes(content)
    (card_folder / "card.json").write_text(json.dumps(card(network=network("model.onnx", "onnx"))))
    with pytest.raises(RefusedError) as refusal:
        load_model(card_folder).predict(
            Volume(np.ones((8, 8, 8), np.float32), Geometry.from_spacing((8, 8, 8)), "CT", "HU"), device="cpu"
        )
    assert refusal.value.code in ("model.checkpoint", "model.failed", "device.memory")


def graph(onnx: Any, kind: str) -> bytes:
    """Return a graph whose weights lie in another file, or one that builds a constant of terabytes."""
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, number, [1, c, 8, 8, 8]) for name, c in (("image", 1), ("out", 2))]
    if kind == "constant":
        shape = helper.make_tensor("w", onnx.TensorProto.INT64, [5], [2, 1, 10**5, 10**5, 10**5])
        nodes = [
            helper.make_node("ConstantOfShape", ["w"], ["big"]),
            helper.make_node("Add", ["image", "big"], ["out"]),
        ]
    else:
        shape = onnx.TensorProto(name="w", data_type=number, dims=[2, 1, 1, 1, 1])
        shape.data_location = onnx.TensorProto.EXTERNAL
        shape.external_data.add(key="location", value=kind)
        shape.external_data.add(key="length", value="8" if "inside" not in kind else str(2**40))
        nodes = [helper.make_node("Conv", ["image", "w"], ["out"])]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], [shape])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


# 13: safetensors


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<Q", 2**40),
        struct.pack("<Q", 2**64 - 1) + b"{}",
        b'{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
        b'{"w":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}',
    ],
    ids=["long header", "longest header", "terabytes", "overflow", "negative"],
)
def test_safetensors_that_claim_terabytes(trained_folder: Path, header: bytes) -> None:
    (trained_folder / "card.json").write_text(json.dumps({"configuration": "3d_fullres"}))
    content = struct.pack("<Q", len(header)) + header + bytes(4) if header.startswith(b"{") else header
    (trained_folder / "fold_0" / "checkpoint_final.safetensors").write_bytes(content)
    refused(trained_folder, "model.checkpoint")


# 14: archives that unpack to far more than they are


def test_a_zip_bomb(trained_folder: Path) -> None:
    path = trained_folder / "fold_0" / "checkpoint_final.pth"
    whole = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
    root = whole.namelist()[0].partition("/")[0]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bomb:
        for name in whole.namelist():
            with bomb.open(name, "w") as out:
                out.write(whole.read(name))
                if name == f"{root}/data/0":
                    for _ in range(256):
                        out.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    refused(trained_folder, "model.bomb")


# 15: tensors that are larger than what is stored of them


def claimed(size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros(1).as_strided(size, stride)


@pytest.mark.parametrize(
    "tensor",
    [
        claimed((2**14, 2**14, 63, 63, 63), (0,) * 5),
        torch.sparse_coo_tensor(torch.zeros(5, 1, dtype=torch.long), torch.ones(1), (2**14, 2**14, 63, 63, 63)),
        torch.empty(2**14, 2**14, 63, 63, 63, device="meta"),
        "no tensor",
    ],
    ids=["stride of nothing", "sparse", "meta", "words"],
)
def test_tensors_without_their_values(trained_folder: Path, checkpoint: Json, tensor: Any) -> None:
    name = "encoder.stages.0.0.convs.0.conv.weight"
    checkpoint["network_weights"] = {**checkpoint["network_weights"], name: tensor}
    torch.save(checkpoint, trained_folder / "fold_0" / "checkpoint_final.pth")
    refused(trained_folder, "model.checkpoint")


def test_a_storage_that_claims_terabytes(trained_folder: Path, checkpoint: Json) -> None:
    path = trained_folder / "fold_0" / "checkpoint_final.pth"
    torch.save({"network_weights": {"w": torch.zeros(7)}}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(b"K\x07") >= 2
    path.write_bytes(content.replace(b"K\x07", b"\x8a\x06" + (2**42).to_bytes(6, "little")))
    refused(trained_folder, "model.checkpoint")


def test_mirroring_that_multiplies(trained_folder: Path) -> None:
    from napari_volseg.inference import NnunetModel

    (trained_folder / "card.json").write_text(json.dumps({"mirroring_axes": [0, 1, 2] * 10}))
    with pytest.raises(RefusedError, match="mirroring"):
        NnunetModel(trained_folder, mirroring=True).open_network(torch.device("cpu"), "torch")
