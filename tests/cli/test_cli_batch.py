"""A folder of cases: each is segmented, a bad one refuses itself, and the exit code tells."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import batch
from napari_volseg.cli import DONE, INTERRUPTED, REFUSED, UNDECIDED, USAGE, main


def write(path, seed, known=True):
    rng = np.random.default_rng(seed)
    voxels = np.full((24, 22, 20), -1000, np.int16)
    voxels[4:20, 4:18, 3:17] = rng.integers(0, 80, (16, 14, 14))
    voxels[10:13, 12:15, 4:15] = 700
    affine = np.array([[-2.0, 0, 0, 10], [0, -2.5, 0.1, -4], [0, 0.1, 3, 7], [0, 0, 0, 1]])
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine if known else None, code=int(known))
    image.set_qform(None, code=0)
    nib.save(image, path)


@pytest.fixture
def cases(tmp_path):
    folder = tmp_path / "cases"
    folder.mkdir()
    write(folder / "anna.nii.gz", 0)
    write(folder / "carl.nii", 2)
    (folder / "doris").mkdir()
    write(folder / "doris" / "ct.nii.gz", 3)
    (folder / "notes.txt").write_text("not a case")
    return folder


def run(cases, out, *flags):
    return main(["segment", str(cases), str(out), "--each", "--model", "ct-tissues", *flags])


def test_each_case_gets_what_it_gets_alone(cases, tmp_path, capsys):
    out = tmp_path / "labels"
    assert run(cases, out) == DONE
    assert sorted(path.name for path in out.glob("*.nii.gz")) == ["anna.nii.gz", "carl.nii.gz", "doris.nii.gz"]
    assert "3 of 3 cases were segmented" in capsys.readouterr().out
    alone = tmp_path / "alone.nii.gz"
    for case, name in ((cases / "carl.nii", "carl"), (cases / "doris", "doris")):
        assert main(["segment", str(case), str(alone), "--model", "ct-tissues"]) == DONE
        one, many = nib.load(alone), nib.load(out / f"{name}.nii.gz")
        assert np.array_equal(one.affine, many.affine)
        assert np.asarray(one.dataobj).any()
        assert np.array_equal(np.asarray(one.dataobj), np.asarray(many.dataobj))


def test_a_bad_case_refuses_itself_and_the_others_go_on(cases, tmp_path, capsys):
    (cases / "bert.nii.gz").write_bytes(b"\x1f\x8b damaged")
    (cases / "empty").mkdir()
    write(cases / "who.nii", 5, known=False)
    out, report = tmp_path / "labels", tmp_path / "run.json"
    assert run(cases, out, "--report", str(report), "--ending", ".seg.nrrd") == REFUSED
    told = capsys.readouterr()
    assert "bert.nii.gz: " in told.err
    assert "--orientation" in told.err
    assert "3 of 6 cases were segmented" in told.out
    assert sorted(path.name for path in out.iterdir()) == ["anna.seg.nrrd", "carl.seg.nrrd", "doris.seg.nrrd"]
    entries = {entry["case"]: entry for entry in json.loads(report.read_text())["cases"]}
    assert set(entries) == {"anna.nii.gz", "bert.nii.gz", "carl.nii", "doris", "empty", "who.nii"}
    assert "error" in entries["empty"]
    assert entries["anna.nii.gz"]["model"] == "ct-tissues"


def test_the_exit_code_is_that_of_the_first_that_failed(cases, tmp_path):
    write(cases / "aaa.nii", 5, known=False)
    assert run(cases, tmp_path / "labels") == UNDECIDED
    assert run(cases, tmp_path / "labels", "--orientation", "RAS") == DONE


def test_what_can_not_work_is_refused_before_anything_runs(cases, tmp_path, capsys):
    assert run(cases, cases / "labels") == USAGE
    assert run(cases / "anna.nii.gz", tmp_path / "labels") == USAGE
    assert run(cases, tmp_path / "labels", "--ending", ".png") == USAGE
    assert run(cases, tmp_path / "labels", "--further", str(cases / "carl.nii")) == USAGE
    write(cases / "anna.nii", 0)
    assert run(cases, tmp_path / "labels") == USAGE
    assert "anna.nii" in capsys.readouterr().err
    assert not (tmp_path / "labels").exists()


def test_an_interrupted_run_tells_what_it_has_and_keeps_it(cases, tmp_path, monkeypatch, capsys):
    whole = batch.segment_cases

    def interrupted(*arguments, **options):
        run = whole(*arguments, **options)
        yield next(run)
        run.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "segment_cases", interrupted)
    out, report = tmp_path / "labels", tmp_path / "run.json"
    assert run(cases, out, "--report", str(report)) == INTERRUPTED
    told = capsys.readouterr()
    assert "1 of 3 cases were segmented" in told.out
    assert "what was saved by then stays" in told.err
    assert [path.name for path in out.glob("*.nii.gz")] == ["anna.nii.gz"]
    assert [entry["case"] for entry in json.loads(report.read_text())["cases"]] == ["anna.nii.gz"]
