"""What cards and files of other makers ask to be done to labels afterwards, and what is never read of it."""

from __future__ import annotations

import json
import pickle

import pytest

from napari_volseg.core import CheckSides, KeepLargest, RefusedError, RemoveSmall
from napari_volseg.inference import load_model
from napari_volseg.inference.postprocessing import bundle_steps, card_steps, nnunet_steps

NAMES = {1: "liver", 2: "kidney_left", 3: "kidney_right"}
FUNCTION = "remove_all_but_largest_component_from_segmentation"


def test_a_card_names_labels_one_by_one_or_together():
    facts = {
        "postprocessing": [
            {"step": "keep_largest", "labels": ["liver"]},
            {"step": "remove_small", "mm3": 50},
            {"step": "keep_largest", "labels": ["kidney_left", "kidney_right"], "together": True},
            {"step": "check_sides", "left": "kidney_left", "right": "kidney_right"},
        ]
    }
    small = tuple(RemoveSmall((value,), 50) for value in NAMES)
    assert card_steps(facts, NAMES) == (KeepLargest((1,)), *small, KeepLargest((2, 3)), CheckSides(2, 3))


@pytest.mark.parametrize(
    "entry",
    [
        {"step": "sharpen"},
        {"step": "keep_largest", "labels": ["spleen"]},
        {"step": "remove_small", "mm3": -1},
        {"step": "remove_small", "mm3": "NaN"},
        {"step": "check_sides", "left": "liver"},
        {"step": "check_sides", "left": "liver", "right": "liver"},
        {"step": "keep_largest", "labels": [], "together": True},
        "keep_largest",
    ],
)
def test_a_step_that_is_misstated_refuses_the_model(trained_folder, entry):
    (trained_folder / "card.json").write_text(json.dumps({"configuration": "3d_fullres", "postprocessing": [entry]}))
    with pytest.raises(RefusedError):
        load_model(trained_folder)


def write(path, functions, arguments):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"postprocessing_fns": functions, "postprocessing_kwargs": arguments}))


def test_what_nnunet_found_to_help_is_read_beside_its_cross_validation(trained_folder):
    place = trained_folder / "crossval_results_folds_0" / "postprocessing.json"
    write(place, [FUNCTION, FUNCTION], [{"labels_or_regions": [1, [1, 2]]}, {"labels_or_regions": 2}])
    card = load_model(trained_folder).card
    assert card.postprocessing == (KeepLargest((1, 2)), KeepLargest((2,)))
    assert card.postprocessing_words[1] == "keep the largest island of Left kidney"


def test_the_card_has_the_last_word(trained_folder):
    write(trained_folder / "postprocessing.json", [FUNCTION], [{"labels_or_regions": [1]}])
    (trained_folder / "card.json").write_text(json.dumps({"configuration": "3d_fullres", "postprocessing": []}))
    assert load_model(trained_folder).card.postprocessing == ()


@pytest.mark.parametrize("values", [[7], [0], ["liver"], [{"a": 1}]])
def test_labels_that_the_model_does_not_have_are_refused(trained_folder, values):
    write(trained_folder / "postprocessing.json", [FUNCTION], [{"labels_or_regions": values}])
    with pytest.raises(RefusedError, match=r"postprocessing\.json"):
        load_model(trained_folder)


def test_a_function_that_is_unknown_is_refused_and_none_is_called(trained_folder):
    write(trained_folder / "postprocessing.json", ["os.system"], [{"labels_or_regions": [1]}])
    with pytest.raises(RefusedError, match=r"os\.system"):
        load_model(trained_folder)


class Canary:
    def __reduce__(self):
        return open, ("canary", "w")


def test_the_pickle_beside_it_is_not_read(trained_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (trained_folder / "postprocessing.pkl").write_bytes(pickle.dumps(Canary()))
    assert load_model(trained_folder).card.postprocessing == ()
    assert not (tmp_path / "canary").exists()
    assert nnunet_steps(trained_folder, ["0"], NAMES) == ()


def test_a_bundle_keeps_the_largest_island_of_each_label_or_of_all():
    assert bundle_steps([{"applied_labels": [0, 2]}], [0, 1, 2]) == (KeepLargest((2,)),)
    assert bundle_steps([{}], [0, 1, 2]) == (KeepLargest((1,)), KeepLargest((2,)))
    assert bundle_steps([{"independent": False}], [0, 1, 2]) == (KeepLargest((1, 2)),)
    with pytest.raises(RefusedError, match="num_components"):
        bundle_steps([{"num_components": 2}], [0, 1])
