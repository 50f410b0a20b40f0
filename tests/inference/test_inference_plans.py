"""Plans of nnU-Net: both spellings, inheritance, and what is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from napari_volseg.core import RefusedError
from napari_volseg.inference import parse_plan
from napari_volseg.inference.outputs import Exclusive, Regions
from napari_volseg.inference.plans import Normalization, Resampling

Json = dict[str, Any]


def test_both_spellings_of_a_network_are_the_same(plans: Json, dataset: Json) -> None:
    today = parse_plan(plans, dataset, "3d_fullres").architecture
    configuration = plans["configurations"]["3d_fullres"]
    del configuration["architecture"]
    configuration |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 6,
        "n_conv_per_stage_encoder": [2, 2],
        "n_conv_per_stage_decoder": [2],
        "pool_op_kernel_sizes": [[1, 1, 1], [1, 2, 2]],
        "conv_kernel_sizes": [[1, 3, 3], [3, 3, 3]],
    }
    assert parse_plan(plans, dataset, "3d_fullres").architecture == today


def test_facts_of_a_plan(plans: Json, dataset: Json) -> None:
    plans["transpose_forward"] = [1, 2, 0]
    plans["configurations"]["3d_fullres"] |= {
        "normalization_schemes": ["CTNormalization"],
        "spacing": [3.0, 2.0, 1.0],
    }
    plan = parse_plan(plans, dataset, "3d_fullres")
    assert plan.outputs.names == ("background", "liver", "left_kidney")
    assert plan.image_spacing == (1.0, 3.0, 2.0)
    (ct,) = plan.normalizations
    assert (ct.low, ct.high, ct.mean) == (-100.0, 200.0, 20.0)
    assert plan.image_resampling == Resampling(3)
    assert plan.output_resampling == Resampling(1)
    assert plan.orientation == ""


def test_regions_paint_in_their_order(plans: Json, dataset: Json) -> None:
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    outputs = parse_plan(plans, dataset | {"labels": labels, "regions_class_order": [1, 2, 3]}, "3d_fullres").outputs
    assert outputs == Regions(("whole", "core", "enhancing"), (1, 2, 3))
    assert outputs.segments == {1: "whole", 2: "core", 3: "enhancing"}


def test_the_ignore_label_has_no_channel(plans: Json, dataset: Json) -> None:
    labels = {"background": 0, "liver": 1, "ignore": 2}
    assert parse_plan(plans, dataset | {"labels": labels}, "3d_fullres").outputs == Exclusive(("background", "liver"))


def test_each_channel_has_its_normalization(plans: Json, dataset: Json) -> None:
    plans["configurations"]["3d_fullres"] |= {
        "normalization_schemes": ["ZScoreNormalization", "CTNormalization"],
        "use_mask_for_norm": [True, False],
    }
    facts = {"mean": 1.0, "std": 2.0, "percentile_00_5": 3.0, "percentile_99_5": 4.0}
    plans["foreground_intensity_properties_per_channel"]["1"] = facts
    plan = parse_plan(plans, dataset | {"channel_names": {"1": "CT", "0": "T1"}}, "3d_fullres")
    assert plan.channels == ("T1", "CT")
    assert plan.normalizations == (
        Normalization("ZScoreNormalization", inside_only=True),
        Normalization("CTNormalization", 1.0, 2.0, 3.0, 4.0),
    )


def test_a_2d_configuration_is_one_voxel_thick(plans: Json, dataset: Json) -> None:
    flat = plans["configurations"]["3d_fullres"]
    flat |= {"patch_size": [8, 8], "spacing": [2.0, 1.0]}
    flat["architecture"]["arch_kwargs"] |= {
        "conv_op": "torch.nn.modules.conv.Conv2d",
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
        "kernel_sizes": [[3, 3], [3, 3]],
        "strides": [[1, 1], [2, 2]],
    }
    plan = parse_plan(plans, dataset, "3d_fullres")
    assert plan.patch_size == (1, 8, 8)
    assert plan.architecture.strides == ((1, 1, 1), (1, 2, 2))
    assert plan.image_spacing is None
    assert plan.spacing_for((7.0, 5.0, 5.0)) == (7.0, 2.0, 1.0)


def test_a_configuration_inherits(plans: Json, dataset: Json) -> None:
    plans["configurations"]["fine"] = {"inherits_from": "3d_fullres", "spacing": [0.5, 0.5, 0.5]}
    plan = parse_plan(plans, dataset, "fine")
    assert plan.spacing == (0.5, 0.5, 0.5)
    assert plan.patch_size == (4, 8, 8)


def test_a_reader_that_reorients_states_the_orientation(plans: Json, dataset: Json) -> None:
    plans["image_reader_writer"] = "NibabelIOWithReorient"
    assert parse_plan(plans, dataset, "3d_fullres").orientation == "SAR"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"previous_stage": "3d_lowres"}, "model.cascade", "cascade"),
        ({"preprocessor_name": "OtherPreprocessor"}, "model.preprocessor", "OtherPreprocessor"),
        ({"normalization_schemes": ["Odd"]}, "model.normalization", "Odd"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, "model.resampling", "resample_torch_fornnunet"),
        ({"resampling_fn_probabilities_kwargs": {"order": 3}}, "model.resampling", "order 3"),
        ({"inherits_from": "3d_fullres"}, "model.plans", "3d_fullres"),
        ({"spacing": [1.0, 0.0, 1.0]}, "model.plans", "spacing"),
        ({"spacing": [1.0, float("inf"), 1.0]}, "model.plans", "spacing"),
        ({"spacing": [1.0, float("nan"), 1.0]}, "model.plans", "spacing"),
        ({"patch_size": [0, 8, 8]}, "model.plans", "patch"),
        ({"patch_size": [-4, 8, 8]}, "model.plans", "patch"),
        ({"patch_size": [4, 7, 8]}, "model.plans", "patch"),
        ({"patch_size": [1, 2, 2]}, "model.plans", "patch"),
        ({"patch_size": [4000, 4000, 4000]}, "model.plans", "patch"),
    ],
)
def test_configurations_that_are_refused(plans: Json, dataset: Json, change: Json, code: str, words: str) -> None:
    plans["configurations"]["3d_fullres"] |= change
    with pytest.raises(RefusedError, match=words) as refusal:
        parse_plan(plans, dataset, "3d_fullres")
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "model.regions"),
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}, "regions_class_order": [1]}, "model.regions"),
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}, "regions_class_order": [1, 1]}, "model.regions"),
        ({"labels": {"background": 0, "liver": 2}}, "model.labels"),
        ({"channel_names": {"0": "T1", "1": "FLAIR"}}, "model.plans"),
        ({"labels": None}, "model.plans"),
    ],
)
def test_datasets_that_are_refused(plans: Json, dataset: Json, change: Json, code: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        parse_plan(plans, dataset | change, "3d_fullres")
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("network_class_name",), "x.primus.Primus", "Primus is not supported"),
        (("arch_kwargs", "conv_op"), "torch.nn.modules.conv.Conv2d", "Conv2d"),
        (("arch_kwargs", "bottleneck_channels"), 4, "bottleneck"),
        (("arch_kwargs", "norm_op"), "torch.nn.BatchNorm3d", "BatchNorm3d"),
        (("arch_kwargs", "nonlin"), "torch.nn.GELU", "GELU"),
    ],
)
def test_other_networks_are_refused_by_name(plans: Json, dataset: Json, path: Any, value: str, words: str) -> None:
    block = plans["configurations"]["3d_fullres"]["architecture"]
    for key in path[:-1]:
        block = block[key]
    block[path[-1]] = value
    with pytest.raises(RefusedError, match=words):
        parse_plan(plans, dataset, "3d_fullres")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_conv_per_stage", 10**7),
        ("features_per_stage", [4, -6]),
        ("strides", [[1, 1, 1], [0, 2, 2]]),
        ("kernel_sizes", [[1, 3, 3], [0, 3, 3]]),
    ],
)
def test_networks_of_absurd_size_are_refused(plans: Json, dataset: Json, key: str, value: Any) -> None:
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"][key] = value
    with pytest.raises(RefusedError) as refusal:
        parse_plan(plans, dataset, "3d_fullres")
    assert refusal.value.code == "model.plans"


@pytest.mark.parametrize("order", [[0, 0, 1], [0, 1, 9]])
def test_an_order_that_is_no_permutation_is_refused(plans: Json, dataset: Json, order: list[int]) -> None:
    plans["transpose_forward"] = order
    with pytest.raises(RefusedError, match="order of axes"):
        parse_plan(plans, dataset, "3d_fullres")


@pytest.mark.parametrize("change", [{"std": 0.0}, {"mean": float("nan")}, {"percentile_00_5": 999.0}])
def test_intensities_that_no_training_has_are_refused(plans: Json, dataset: Json, change: Json) -> None:
    plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["CTNormalization"]
    plans["foreground_intensity_properties_per_channel"]["0"] |= change
    with pytest.raises(RefusedError, match="intensities"):
        parse_plan(plans, dataset, "3d_fullres")
