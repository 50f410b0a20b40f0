"""Models by name, devices in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_volseg.core import RefusedError, UsageError
from napari_volseg.inference import (
    NnunetModel,
    SegmentationModel,
    available_models,
    describe_device,
    load_model,
    registry,
)


def test_known_names_and_folders_are_loaded(trained_folder: Path) -> None:
    assert load_model("ct-tissues").card.id == "ct-tissues"
    model = load_model(trained_folder)
    assert isinstance(model, NnunetModel)
    assert isinstance(model, SegmentationModel)
    assert load_model(str(trained_folder)).card == model.card


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'ct-tisues'.*ct-tissues, phantom-organs"):
        load_model("ct-tisues")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"plans\.json") as refusal:
        load_model(tmp_path)
    assert refusal.value.code == "model.folder"


def test_a_shipped_model_is_listed_only_with_its_weights(
    trained_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SHIPPED", {"phantom-organs": tmp_path / "absent"})
    assert [card.id for card in available_models()] == ["ct-tissues"]
    with pytest.raises(RefusedError, match="phantom-organs"):
        load_model("phantom-organs")
    monkeypatch.setattr(registry, "SHIPPED", {"phantom-organs": trained_folder})
    assert len(available_models()) == 2
    assert isinstance(load_model("phantom-organs"), NnunetModel)


def test_extra_folders_are_listed(trained_folder: Path) -> None:
    assert available_models([trained_folder])[-1].id == trained_folder.name


def test_every_listed_model_says_what_it_is() -> None:
    for card in available_models():
        assert card.title
        assert card.version
        assert card.task
        assert card.intended_use
        assert card.code_license
        assert card.segments
        assert len({s.value for s in card.segments}) == len(card.segments)


def test_one_structure_has_one_colour_whichever_model_found_it() -> None:
    color_of = {}
    for segment in (segment for card in available_models() for segment in card.segments):
        assert color_of.setdefault(segment.name, segment.color) == segment.color
    assert len(set(color_of.values())) == len(color_of)


def test_devices_in_words() -> None:
    assert describe_device("cpu").startswith("CPU (")
    with pytest.raises(UsageError, match="cuda"):
        describe_device("tpu")
