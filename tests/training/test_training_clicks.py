"""The click harness on a tiny case: figures, names, refusals and exit codes."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.training.click_report import report
from napari_volseg.training.click_runs import ClickRun
from napari_volseg.training.evaluate_clicks import main, read_case


@pytest.fixture
def case(tmp_path):
    """A CT of two blocks of different sizes, stored in an oblique RPI order, and its labels."""
    shape = (30, 28, 16)
    labels = np.zeros(shape, np.uint8)
    labels[4:14, 5:20, 4:12] = 1
    labels[19:26, 6:14, 5:10] = 3
    voxels = np.full(shape, -90.0)
    voxels[labels == 1] = 60
    voxels[labels == 3] = 160
    voxels[0, 0, 0] = -1000
    voxels += np.random.default_rng(0).normal(0, 8, shape)
    affine = np.array([[-2.0, 0.1, 0, 30], [0.1, -2.0, 0, 20], [0, 0, 3.0, -50], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(voxels.astype(np.int16), affine), tmp_path / "ct.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "labels.nii.gz")
    table = {"segments": [{"value": 1, "name": "Liver"}, {"value": 3, "name": "Spleen"}]}
    (tmp_path / "labels.segments.json").write_text(json.dumps(table))
    return tmp_path


def run(folder, *options):
    return main(
        [str(folder / "ct.nii.gz"), str(folder / "labels.nii.gz"), "--json", str(folder / "o.json"), *options]
    )


def test_the_report_holds_what_scripts_rely_on(case, capsys):
    assert run(case, "--clicks", "3", "--engine", "regions") == 0
    figures = json.loads((case / "o.json").read_text())
    assert figures["engine"] == "regions"
    assert set(figures["segments"]) == {"1", "3"}
    assert figures["segments"]["3"]["name"] == "Spleen"
    assert set(figures["macro"]["dsc"]) == {"1", "2", "3"}
    each = [s["dsc"]["3"] for s in figures["segments"].values()]
    assert figures["macro"]["dsc"]["3"] == pytest.approx(np.mean(each), abs=1e-3)
    assert figures["macro"]["dsc"]["3"] > 0.9
    assert figures["honoured"] == 1.0
    assert 0 < figures["latency"]["p50"] <= figures["latency"]["p95"]
    assert "macro 1:" in capsys.readouterr().out


def test_one_segment_can_be_chosen(case):
    assert run(case, "--segments", "3", "--clicks", "1") == 0
    assert list(json.loads((case / "o.json").read_text())["segments"]) == ["3"]


def test_the_case_is_read_onto_the_display_grid(case):
    volume, labels = read_case(case / "ct.nii.gz", case / "labels.nii.gz")
    assert volume.geometry.axis_codes == "SPL"
    assert volume.modality == "CT"
    stored = nib.load(case / "labels.nii.gz")
    first = np.argwhere(np.asarray(stored.dataobj) == 3)[0]
    ras = stored.affine @ np.append(first, 1)
    index = np.round(volume.geometry.to_index(ras[:3] * (-1, -1, 1))).astype(int)
    assert labels[tuple(index)] == 3


def test_labels_of_another_grid_are_refused_in_one_sentence(case, capsys):
    nib.save(nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)), case / "labels.nii.gz")
    assert run(case) == 3
    message = capsys.readouterr().err.strip()
    assert "do not lie on the grid" in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"not a nifti", b""])
def test_a_broken_file_is_refused(case, capsys, content):
    (case / "ct.nii.gz").write_bytes(content)
    assert run(case) == 3
    assert "can't be read as NIfTI" in capsys.readouterr().err


def test_unknown_names_are_a_usage_error(case, capsys):
    assert run(case, "--segments", "2") == 2
    assert "choose from 1, 3" in capsys.readouterr().err
    assert run(case, "--engine", "magic") == 2
    with pytest.raises(SystemExit) as stopped:
        run(case, "--clicks", "0")
    assert stopped.value.code == 2


def test_harm_is_counted_per_click():
    first = ClickRun(1, "a", 10, (0.5, 0.4, 0.39, 0.9), (0.1, 0.2, 0.1, 0.1), 1.0)
    second = ClickRun(2, "b", 10, (0.5, 0.6, 0.7, 0.8), (0.1,) * 4, 1.0)
    figures = report("regions", [first, second], 4)
    assert figures["harmful"] == {"count": 1, "share": pytest.approx(1 / 6)}
    assert figures["macro"]["dsc"]["4"] == pytest.approx(0.85)
