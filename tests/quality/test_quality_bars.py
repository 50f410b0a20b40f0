"""What the program promises of its models on the sample CT, through the paths that users take."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_volseg.app.postprocessing import corrected, corrections
from napari_volseg.formats import load_labels, open_volume
from napari_volseg.inference import load_model
from napari_volseg.measure import dice
from napari_volseg.spatial import resample
from napari_volseg.training.evaluate_clicks import main as evaluate_clicks


@pytest.fixture(scope="module")
def case(sample_data):
    """Sample CT from DICOM with its truth."""
    volume = open_volume(sample_data / "torso-ct-dicom")
    return volume, load_labels(sample_data / "torso-labels.nii.gz", volume)


@pytest.fixture(scope="module")
def tissues(case):
    """What ct-tissues makes of the sample CT."""
    return load_model("ct-tissues").predict(case[0])


def by_name(segments):
    return {segment.name: segment.value for segment in segments}


@pytest.mark.parametrize("lung", ["Left lung", "Right lung"])
def test_ct_tissues_finds_each_lung(case, tissues, lung):
    _, truth = case
    found = tissues.labels == by_name(tissues.segments)[lung]
    expected = np.isin(truth.labels, [by_name(truth.table)[lung]])
    assert dice(found, expected) >= 0.93


def test_ct_tissues_is_plausible_on_a_real_abdomen(real_ct_folder):
    volume = open_volume(real_ct_folder)
    prediction = load_model("ct-tissues").predict(volume)
    values = by_name(prediction.segments)
    share = {name: (prediction.labels == value).mean() for name, value in values.items()}
    hu = {n: np.median(volume.voxels[prediction.labels == v]) for n, v in values.items() if share[n]}
    assert 0.15 < sum(share.values()) < 0.5
    assert share["Left lung"] + share["Right lung"] < 0.01
    assert -130 < hu["Fat"] < -70
    assert 20 < hu["Muscle"] < 90
    assert hu["Bone"] > 150


@pytest.mark.parametrize("sequence", ["t1", "flair"])
def test_brain_structures_lie_where_they_are_in_the_sample_head_in_either_sequence(sample_data, sequence):
    """The FLAIR has an oblique grid of its own, with slices of 5 mm: its truth is that of the T1, brought over."""
    volume, model = open_volume(sample_data / f"head-mr-{sequence}.nii.gz"), load_model("brain-structures")
    t1 = open_volume(sample_data / "head-mr-t1.nii.gz")
    known = load_labels(sample_data / "head-labels.nii.gz", t1)
    truth = resample(known.labels, t1.geometry, volume.geometry, order=0)
    prediction = model.predict(volume, device="cpu")
    labels = corrected(prediction.labels, corrections(model.card, prediction, volume.geometry))
    found, expected = by_name(model.card.segments), by_name(known.table)
    ours = {"Brainstem": "Brain stem", "Ventricles": "Brain ventricle"}
    names = ("Cerebellum", "Cerebral white matter", *ours)
    scores = {n: dice(labels == found[ours.get(n, n)], truth == expected[n]) for n in names}
    assert scores["Cerebellum"] > 0.9, scores
    assert min(scores.values()) > 0.5, scores
    assert not labels[np.isin(truth, [expected["Right eye"], expected["Left eye"]])].any()


def test_the_click_engine_reaches_its_bars(sample_data, tmp_path):
    out = tmp_path / "clicks.json"
    image, labels = sample_data / "torso-ct.nii.gz", sample_data / "torso-labels.nii.gz"
    evaluate_clicks([str(image), str(labels), "--clicks", "5", "--limit", "5", "--json", str(out)])
    told = json.loads(out.read_text())
    assert told["macro"]["dsc"]["3"] >= 0.60
    assert told["macro"]["dsc"]["5"] >= 0.75
    assert told["honoured"] == 1


def test_the_click_engine_beats_the_baselines_at_every_click(sample_data, tmp_path):
    out, plot = tmp_path / "clicks.json", tmp_path / "clicks.svg"
    image, labels = sample_data / "torso-ct.nii.gz", sample_data / "torso-labels.nii.gz"
    few = ["--segments", "3,5,8", "--clicks", "3", "--limit", "3", "--baselines", "--prompts"]
    assert evaluate_clicks([str(image), str(labels), *few, "--json", str(out), "--plot", str(plot)]) == 0
    told = json.loads(out.read_text())
    others = told["others"]
    baselines = [name for name in others if name.startswith(("random-walker", "fast-growcut", "region-growing"))]
    assert len(baselines) >= 2
    for count, score in told["macro"]["dsc"].items():
        assert all(score > others[name]["macro"]["dsc"][count] for name in baselines)
    own = [name for name in others if name.startswith("regions")]
    assert len(own) == 3
    assert all(others[name]["honoured"] == 1 for name in own)
    assert plot.read_text().count("<polyline") == 1 + len(others)
