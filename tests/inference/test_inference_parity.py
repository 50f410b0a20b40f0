"""The same folder and image through nnU-Net itself, where it is installed: images, logits and labels agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import CancelToken, Geometry, Volume
from napari_volseg.inference import NnunetModel
from napari_volseg.inference.engine import prepare_volumes, reorientation_for
from napari_volseg.inference.sliding import WindowGrid, stream_logits

pytest.importorskip("nnunetv2")


@pytest.fixture
def plans(plans: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    scheme, spacing, transpose = request.param
    plans["configurations"]["3d_fullres"] |= {
        "normalization_schemes": [scheme],
        "use_mask_for_norm": [scheme == "ZScoreNormalization"],
        "spacing": spacing,
    }
    plans["transpose_forward"] = transpose
    plans["transpose_backward"] = [int(i) for i in np.argsort(transpose)]
    plans["label_manager"] = "LabelManager"
    return plans


@pytest.mark.parametrize(
    "plans",
    [
        ("CTNormalization", [2.5, 1.3, 1.1], [0, 1, 2]),
        ("CTNormalization", [6.0, 1.3, 1.3], [1, 0, 2]),
        ("ZScoreNormalization", [2.0, 1.5, 1.5], [2, 0, 1]),
    ],
    indirect=True,
)
def test_images_logits_and_labels_are_nnunets(trained_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnunetv2.inference import predict_from_raw_data as peer
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

    spacing = (3.0, 1.7, 0.9)
    image = np.random.default_rng(0).normal(0, 200, (12, 21, 27)).astype(np.float32)
    image[:2], image[:, :3] = 0, 0
    predictor = peer.nnUNetPredictor(device=torch.device("cpu"), use_mirroring=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(trained_folder), (0,))
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    their_image, _, facts = preprocessor.run_case_npy(
        image[None], None, {"spacing": list(spacing)}, plans, configuration, predictor.dataset_json
    )
    # nnU-Net blends in half precision, which costs more than any difference looked for here
    monkeypatch.setattr(torch, "half", torch.float32)
    gaussian = peer.compute_gaussian
    monkeypatch.setattr(
        peer, "compute_gaussian", lambda *args, **options: gaussian(*args, **{**options, "dtype": torch.float32})
    )
    their_logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(their_image))
    their_labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        their_logits.clone(), plans, configuration, predictor.label_manager, facts
    )

    model = NnunetModel(trained_folder)
    volume = Volume(image, Geometry.from_spacing(image.shape, spacing))
    ours = prepare_volumes([volume], reorientation_for(volume, model.card), model.plan, CancelToken())
    np.testing.assert_allclose(ours.voxels, their_image, atol=1e-4)
    network = model._network_on(torch.device("cpu"))
    grid = WindowGrid(ours.shape, model.plan.patch_size)
    with torch.inference_mode():
        blocks = [p.clone() for _, p in stream_logits(network, torch.from_numpy(ours.voxels), grid, 3, lambda: None)]
    our_logits = torch.cat(blocks, 1).movedim(1, grid.axis + 1)
    assert (our_logits - their_logits).abs().max() < 1e-3
    assert np.mean(model.predict(volume).labels == their_labels) > 0.9999
