"""Tasks of several networks: what they label, in which order, and on which part of the image."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from napari_volseg.core import Box, Geometry, RefusedError, Segment, UsageError, Volume
from napari_volseg.inference import available_models, engine, load_model, totalsegmentator
from napari_volseg.inference.memory import placement
from napari_volseg.inference.model import Prediction, RunReport, Seconds
from napari_volseg.inference.nnunet import NnunetModel
from napari_volseg.inference.tasks import COMMERCIAL, PREFIX, Part, Task, all_tasks, find_task, weights_folder
from napari_volseg.inference.totalsegmentator import ORIENTATION, TotalSegmentatorModel
from napari_volseg.spatial import apply_reorientation, reorient_geometry, reorientation_to

SHAPE = (20, 24, 16)
LABELS = ("spleen", "liver", "aorta")
FIRST, SECOND = Part("DatasetA", "v1", ("liver", "spleen")), Part("DatasetB", "v1", ("aorta", "helper"))
TASK = Task("pair", "CT", LABELS, (FIRST, SECOND))


class ByValue:
    """A network that gives label n to voxels of value 10 n, and notes which grids it was shown."""

    def __init__(self, card, seen) -> None:
        self.card, self._seen = card, seen

    def predict(self, volume, *, bands, progress, **_):
        self._seen.append(volume)
        labels = (volume.voxels // 10).astype(np.uint8)
        report = RunReport("part", "CPU", "torch", 1, Seconds(1, 1, 0, 0), 0)
        return Prediction(labels, (Segment(1, "one"),), report)


@pytest.fixture
def seen(monkeypatch, trained_folder):
    """The volumes that networks were shown, by part."""
    shown = {}
    card = NnunetModel(trained_folder).card
    monkeypatch.setattr(totalsegmentator, "_load", lambda part, _: ByValue(card, shown.setdefault(part.folder, [])))
    monkeypatch.setattr(totalsegmentator, "need_parts", lambda *_: None)
    return shown


@pytest.fixture
def volume():
    voxels = np.zeros(SHAPE, np.int16)
    voxels[4:9, 5:11, 3:6] = 10
    voxels[9:12, 5:11, 3:6] = 20
    return Volume(voxels, Geometry.from_spacing(SHAPE, (3, 2, 1)), "CT", "HU", "HU", "chest")


def test_later_networks_win_and_helpers_are_left_out(seen, volume, tmp_path):
    prediction = TotalSegmentatorModel(TASK, weights=tmp_path).predict(volume)
    # value 10 is liver to the first network and aorta to the second, 20 is spleen to the first and a helper
    expected = np.select([volume.voxels == 10, volume.voxels == 20], [3, 1]).astype(np.uint8)
    assert np.array_equal(prediction.labels, expected)
    assert [segment.name for segment in prediction.segments] == ["Spleen", "Liver", "Aorta"]
    assert prediction.report.windows == 2


def test_a_lack_of_memory_between_networks_is_told(seen, volume, tmp_path, monkeypatch):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(TotalSegmentatorModel, "_paint", fails)
    with pytest.raises(RefusedError, match="memory ran out"):
        TotalSegmentatorModel(TASK, weights=tmp_path).predict(volume)


def test_only_the_networks_that_know_a_label_run(seen, volume, tmp_path):
    model = TotalSegmentatorModel(TASK, ("liver",), tmp_path)
    prediction = model.predict(volume)
    assert list(seen) == ["DatasetA"]
    assert np.array_equal(prediction.labels, np.where(volume.voxels == 10, 2, 0))
    assert [segment.name for segment in model.card.segments] == ["Liver"]


def test_a_task_sees_the_part_of_the_image_around_what_it_looks_for(seen, volume, tmp_path, monkeypatch):
    coarse = Task("coarse", "CT", ("liver", "rib"), (Part("DatasetC", "v1", ("liver", "rib")),))
    monkeypatch.setattr(totalsegmentator, "all_tasks", lambda: {"coarse": coarse})
    monkeypatch.setattr(totalsegmentator, "find_task", lambda _: coarse)
    monkeypatch.setattr(totalsegmentator, "_is_there", lambda name, _: name == "coarse")
    fine = Task("fine", "CT", ("vessel",), (Part("DatasetD", "v1", ("vessel",)),), ("liver",), 4.0, "coarse")
    prediction = TotalSegmentatorModel(fine, weights=tmp_path).predict(volume)
    (cut,) = seen["DatasetD"]
    box = Box((2, 3, 0), (11, 13, 10))  # 4 mm are 2, 2 and 4 voxels of 3, 2 and 1 mm
    assert np.array_equal(cut.voxels, volume.voxels[box.slices])
    assert np.allclose(cut.geometry.to_patient((0, 0, 0)), volume.geometry.to_patient(box.start))
    expected = np.zeros(SHAPE, np.uint8)
    expected[box.slices] = volume.voxels[box.slices] == 10
    assert np.array_equal(prediction.labels, expected)


def test_nothing_runs_where_what_it_looks_for_is_not_there(seen, volume, tmp_path, monkeypatch):
    coarse = Task("coarse", "CT", ("liver",), (Part("DatasetC", "v1", ("liver",)),))
    monkeypatch.setattr(totalsegmentator, "all_tasks", lambda: {"coarse": coarse})
    monkeypatch.setattr(totalsegmentator, "find_task", lambda _: coarse)
    monkeypatch.setattr(totalsegmentator, "_is_there", lambda name, _: name == "coarse")
    fine = Task("fine", "CT", ("vessel",), (Part("DatasetD", "v1", ("vessel",)),), ("liver",), 4.0, "coarse")
    empty = Volume(np.zeros(SHAPE, np.int16), volume.geometry, "CT")
    assert not TotalSegmentatorModel(fine, weights=tmp_path).predict(empty).labels.any()
    assert not seen.get("DatasetD")


def test_a_label_that_a_task_does_not_have_is_refused(seen, tmp_path):
    with pytest.raises(UsageError, match="no label 'lung'"):
        TotalSegmentatorModel(TASK, ("lung",), tmp_path)


# -- the released tasks -----------------------------------------------------------------------------------------


def test_the_five_networks_of_total_label_all_of_its_structures():
    total = find_task("total")
    assert len(total.labels) == 117
    assert total.labels[:5] == ("spleen", "kidney_right", "kidney_left", "gallbladder", "liver")
    assert [len(part.labels) for part in total.parts] == [24, 26, 18, 23, 26]
    assert {label for part in total.parts for label in part.labels} == set(total.labels)
    assert total.parts[0].url().endswith("/v2.0.0-weights/Dataset291_TotalSegmentator_part1_organs_1559subj.zip")


def test_tasks_refer_to_what_exists():
    for task in all_tasks().values():
        assert {label for part in task.parts for label in part.labels} <= set(task.labels)
        assert all(part.release or task.commercial for part in task.parts), task.name
        if task.coarse:
            assert set(task.crop) <= set(find_task(task.coarse).labels), task.name
            assert task.margin_mm >= 0
        else:
            assert not task.crop


def test_weights_lie_where_totalsegmentator_looks(tmp_path):
    assert weights_folder({"TOTALSEG_WEIGHTS_PATH": "/w"}).as_posix() == "/w"
    assert weights_folder({"TOTALSEG_HOME_DIR": "/h"}).as_posix() == "/h/nnunet/results"
    assert weights_folder({}).parts[-3:] == (".totalsegmentator", "nnunet", "results")


def test_missing_weights_are_told_with_the_way_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path))
    with pytest.raises(RefusedError, match="napari-volseg fetch totalsegmentator:body") as caught:
        load_model(f"{PREFIX}body")
    assert caught.value.code == "model.absent"
    with pytest.raises(RefusedError, match=COMMERCIAL.split(":")[0]):
        load_model(f"{PREFIX}face")
    with pytest.raises(UsageError, match="no task 'everything'"):
        load_model(f"{PREFIX}everything")


@pytest.fixture
def body(tmp_path, trained_folder, monkeypatch):
    """Weights of the task body, as they would lie there."""
    part = find_task("body").parts[0]
    weights = tmp_path / "results"
    shutil.copytree(trained_folder, weights / part.folder / trained_folder.name)
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(weights))
    return weights / part.folder / trained_folder.name


def test_a_task_with_weights_is_on_offer_and_equals_its_network(body):
    card = next(card for card in available_models() if card.id == f"{PREFIX}body")
    assert [segment.name for segment in card.segments] == ["Body trunc", "Body extremities"]
    assert card.orientation == ORIENTATION
    rng = np.random.default_rng(4)
    geometry = Geometry.from_spacing((9, 14, 12), (1.5, 1.1, 0.9))
    volume = Volume(rng.normal(size=(9, 14, 12)).astype(np.float32), geometry, "CT")
    bands = []
    prediction = load_model(f"{PREFIX}body").predict(volume, device="cpu", bands=bands.append)
    same = NnunetModel(body, facts={"orientation": ORIENTATION}).predict(volume, device="cpu")
    assert prediction.labels.any()
    assert np.array_equal(prediction.labels, same.labels)
    assert sum(band.box.size for band in bands) == volume.voxels.size


@pytest.fixture
def several(tmp_path, trained_folder, plans, monkeypatch):
    """Three networks of one task; the last one sees the image on another scale. Returns their folders."""
    torch = pytest.importorskip("torch")
    checkpoint = torch.load(trained_folder / "fold_0" / "checkpoint_final.pth", weights_only=False)
    parts = tuple(Part(f"Dataset{n}", "v1", (f"first{n}", f"second{n}")) for n in range(3))
    task = Task("several", "CT", tuple(label for part in parts for label in part.labels), parts)
    generator, folders = torch.Generator().manual_seed(3), []
    for number, part in enumerate(parts):
        folder = tmp_path / "results" / part.folder / trained_folder.name
        shutil.copytree(trained_folder, folder)
        for tensor in {id(t): t for t in checkpoint["network_weights"].values()}.values():
            tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
        names = checkpoint["network_weights"]
        for name in [name for name in names if name.startswith("decoder.encoder.")]:
            names[name] = names[name.removeprefix("decoder.")]
        torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
        if number == 2:
            plans["configurations"]["3d_fullres"]["normalization_schemes"] = ["ZScoreNormalization"]
            (folder / "plans.json").write_text(json.dumps(plans))
        folders.append(folder)
    return task, folders


def test_the_image_is_prepared_once_for_networks_that_see_it_alike(several, tmp_path, monkeypatch):
    task, folders = several
    rng = np.random.default_rng(6)
    geometry = Geometry.from_spacing((9, 14, 12), (1.5, 1.1, 0.9))
    volume = Volume(rng.normal(size=(9, 14, 12)).astype(np.float32), geometry, "CT")
    expected, apart = np.zeros(volume.voxels.shape, np.uint8), []
    for number, folder in enumerate(folders):
        found = NnunetModel(folder, facts={"orientation": ORIENTATION}).predict(volume, device="cpu").labels
        apart.append(found)
        expected[found > 0] = (found + 2 * number)[found > 0]
    assert all(found.any() for found in apart)
    assert not np.array_equal(apart[0], apart[1])
    prepared = []
    real = engine.prepare
    monkeypatch.setattr(engine, "prepare", lambda *a, **k: prepared.append(a) or real(*a, **k))
    model = TotalSegmentatorModel(task, weights=tmp_path / "results")
    assert np.array_equal(model.predict(volume, device="cpu").labels, expected)
    assert len(prepared) == 2  # the last network's scale is another one
    other = Volume(volume.voxels[::-1].copy(), geometry, "CT")
    model.predict(other, device="cpu")
    assert len(prepared) == 4  # nothing is kept from one image to the next


def test_an_image_that_is_held_already_is_not_asked_room_for_again(several, tmp_path, monkeypatch):
    task, _ = several
    geometry = Geometry.from_spacing((9, 14, 12), (1.5, 1.1, 0.9))
    volume = Volume(np.random.default_rng(7).normal(size=(9, 14, 12)).astype(np.float32), geometry, "CT")
    needs, real = [], engine.place
    monkeypatch.setattr(engine, "place", lambda need, device: needs.append(need) or real(need, device))
    TotalSegmentatorModel(task, weights=tmp_path / "results").predict(volume, device="cpu")
    held = 4 * np.prod([14, 15, 11])  # in the network's axes at 1 mm
    assert [need.held for need in needs] == [0, held, 0]
    assert needs[1].planes == 0
    free = needs[1].image + needs[1].labels + needs[1].band + needs[1].window
    placement(needs[1], free - held)
    with pytest.raises(RefusedError):
        placement(needs[1], free - held - 1)


def test_the_same_image_stored_another_way_gets_the_same_labels(body):
    rng = np.random.default_rng(5)
    geometry = Geometry.from_spacing((9, 14, 12), (1.5, 1.1, 0.9))
    volume = Volume(rng.normal(size=(9, 14, 12)).astype(np.float32), geometry, "CT")
    turned = reorientation_to(geometry, "RPI")
    other = Volume(apply_reorientation(volume.voxels, turned), reorient_geometry(geometry, turned), "CT")
    model = load_model(f"{PREFIX}body")
    expected = apply_reorientation(model.predict(volume, device="cpu").labels, turned)
    assert np.array_equal(model.predict(other, device="cpu").labels, expected)


def test_a_network_that_knows_too_little_is_refused(body, dataset):
    (body / "dataset.json").write_text(json.dumps({**dataset, "labels": {"background": 0, "liver": 1}}))
    with pytest.raises(RefusedError, match="knows 1 labels where 2 are expected"):
        load_model(f"{PREFIX}body")
