"""The command line is a contract for scripts: what it prints, writes and returns."""

import gzip
import json
import shutil
import subprocess
import sys
import zipfile

import nibabel as nib
import numpy as np
import pydicom
import pytest

from napari_volseg.app.samples import sample_path
from napari_volseg.cli import DONE, REFUSED, UNDECIDED, USAGE, main
from napari_volseg.formats import load_labels, open_volume


@pytest.fixture
def image(tmp_path):
    """A small chiral CT with an oblique affine."""
    rng = np.random.default_rng(0)
    voxels = rng.integers(-1000, 200, (20, 18, 12)).astype(np.int16)
    affine = np.array([[-1.5, 0.1, 0, 30], [0.08, -1.9, 0.2, -40], [0, 0.15, 3.1, 99], [0, 0, 0, 1]])
    path = tmp_path / "ct.nii.gz"
    nifti = nib.Nifti1Image(voxels, affine)
    nifti.set_sform(affine, code=1)
    nifti.set_qform(None, code=0)
    nib.save(nifti, path)
    return path


def test_info_lists_volumes_as_json(image, capsys):
    assert main(["info", str(image), "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    (volume,) = told["volumes"]
    assert volume["shape"] == [12, 18, 20]
    assert np.allclose(volume["nifti_affine"], nib.load(image).affine, atol=1e-5)
    lps = np.diag([-1, -1, 1, 1]) @ nib.load(image).affine
    assert np.allclose(volume["affine"], lps[:, [2, 1, 0, 3]], atol=1e-5)
    assert told["refused"] == []


def test_info_lists_volumes_for_people(image, capsys):
    assert main(["info", str(image)]) == DONE
    assert "12 × 18 × 20 voxels" in capsys.readouterr().out


def test_convert_keeps_grid_and_values(image, tmp_path):
    out = tmp_path / "copy.nii.gz"
    assert main(["convert", str(image), str(out)]) == DONE
    before, after = nib.load(image), nib.load(out)
    assert np.allclose(before.affine, after.affine, atol=1e-5)
    assert np.array_equal(np.asanyarray(before.dataobj), np.asanyarray(after.dataobj))


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii"])
def test_convert_writes_the_format_of_the_ending(image, tmp_path, ending):
    between, out = tmp_path / f"between{ending}", tmp_path / "out.nii.gz"
    assert main(["convert", str(image), str(between)]) == DONE
    assert main(["convert", str(between), str(out)]) == DONE
    before, after = nib.load(image), nib.load(out)
    assert np.allclose(before.affine, after.affine, atol=1e-5)
    assert np.array_equal(np.asanyarray(before.dataobj), np.asanyarray(after.dataobj))
    assert main(["convert", str(between), str(between)]) == REFUSED
    assert main(["convert", str(image), str(tmp_path / "out.png")]) == USAGE


@pytest.mark.parametrize("ending", [".seg.nrrd", ".mha", ".nii"])
def test_segment_writes_the_format_of_the_ending(image, tmp_path, ending):
    out = tmp_path / f"labels{ending}"
    assert main(["segment", str(image), str(out), "--model", "ct-tissues"]) == DONE
    labels = load_labels(out, open_volume(image))
    assert {segment.algorithm_name for segment in labels.table} == {"ct-tissues"}


@pytest.mark.parametrize("ending", [".stl", ".ply", ".obj"])
def test_segment_writes_surfaces_by_the_ending(tmp_path, ending):
    out = tmp_path / f"surfaces{ending}"
    assert main(["segment", str(sample_path("torso-ct")), str(out), "--model", "ct-tissues"]) == DONE
    assert b"SPACE=LPS" in out.read_bytes()[:200]


def test_segment_writes_a_structure_set_of_dicom_alone(image, tmp_path, capsys):
    out, series = tmp_path / "labels.rtstruct.dcm", sample_path("torso-ct-dicom")
    assert main(["segment", str(image), str(out), "--model", "ct-tissues"]) == USAGE
    assert "needs an image opened from DICOM" in capsys.readouterr().err
    assert not out.exists()
    assert main(["segment", str(series), str(out), "--model", "ct-tissues"]) == DONE
    assert {segment.name for segment in load_labels(out, open_volume(series)).table} >= {"Body", "Left lung", "Bone"}


def test_an_orientation_that_no_file_tells_is_asked_for(tmp_path, capsys):
    path, out = tmp_path / "nowhere.nii", tmp_path / "out.nii.gz"
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nib.save(image, path)
    assert main(["info", str(path), "--json"]) == DONE
    (volume,) = json.loads(capsys.readouterr().out)["volumes"]
    (decision,) = volume["decisions"]
    assert (decision["keyword"], decision["code"]) == ("orientation", "nifti.orientation_unknown")
    assert list(decision["choices"]) == ["RAS", "LAS", "LPS"]
    assert volume["axis_codes"] is None
    assert main(["info", str(path)]) == DONE
    listed = capsys.readouterr().out
    assert "--orientation RAS|LAS|LPS" in listed
    assert "mm (z, y, x), orientation unknown" in listed
    assert main(["convert", str(path), str(out)]) == UNDECIDED
    assert "RAS" in capsys.readouterr().err
    assert not out.exists()
    assert main(["convert", str(path), str(out), "--orientation", "LAS"]) == DONE
    assert nib.aff2axcodes(nib.load(out).affine) == ("L", "A", "S")


def test_forms_that_contradict_each_other_are_asked_for(tmp_path, capsys):
    path, out = tmp_path / "twice.nii", tmp_path / "out.nii.gz"
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.set_sform(np.diag([1, 1, 1, 1]), code=2)
    image.set_qform(np.diag([-1, 1, 1, 1]), code=1)
    nib.save(image, path)
    assert main(["info", str(path), "--json"]) == DONE
    (decision,) = json.loads(capsys.readouterr().out)["volumes"][0]["decisions"]
    assert (decision["keyword"], decision["code"]) == ("form", "nifti.forms_differ")
    assert set(decision["choices"]) == {"sform", "qform"}
    assert main(["convert", str(path), str(out)]) == UNDECIDED
    assert "qform with code 1 (scanner)" in capsys.readouterr().err
    for form, sign in (("sform", 1), ("qform", -1)):
        assert main(["convert", str(path), str(out), "--form", form]) == DONE
        assert nib.load(out).affine[0, 0] == sign


def test_one_volume_of_several_is_asked_for(tmp_path, capsys):
    path, out = tmp_path / "beating.nii", tmp_path / "out.nii.gz"
    voxels = np.full((16, 16, 16, 3), -1000, np.int16)
    voxels[4:12, 4:12, 4:12] = 300
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    command = ["segment", str(path), str(out), "--model", "ct-tissues"]
    assert main(command) == UNDECIDED
    assert "from 0 to 2" in capsys.readouterr().err
    assert main([*command, "--time", "3"]) == USAGE
    assert main([*command, "--time", "2"]) == DONE
    assert nib.load(out).shape == (16, 16, 16)


def test_colours_are_not_segmented(tmp_path, capsys):
    path = tmp_path / "photo.nii"
    data = np.zeros((8, 8, 8), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    assert main(["segment", str(path), str(tmp_path / "out.nii"), "--model", "ct-tissues"]) == REFUSED
    assert "colours" in capsys.readouterr().err


def test_a_missing_slice_is_asked_about_and_the_answer_is_a_flag(series_with_a_gap, tmp_path, capsys):
    folder, out = series_with_a_gap, tmp_path / "out.nii.gz"
    assert main(["info", str(folder), "--json"]) == DONE
    (volume,) = json.loads(capsys.readouterr().out)["volumes"]
    (decision,) = volume["decisions"]
    assert (decision["keyword"], decision["code"]) == ("on_missing_slice", "dicom.missing_slices")
    assert set(decision["choices"]) == {"empty", "blocks", "refuse"}
    assert main(["info", str(folder)]) == DONE
    assert "--on-missing-slice empty|blocks|refuse" in capsys.readouterr().out

    assert main(["convert", str(folder), str(out)]) == UNDECIDED
    assert "--on-missing-slice" in capsys.readouterr().err
    assert main(["convert", str(folder), str(out), "--on-missing-slice", "refuse"]) == REFUSED
    assert not out.exists()
    assert main(["convert", str(folder), str(out), "--on-missing-slice", "empty"]) == DONE
    means = np.asanyarray(nib.load(out).dataobj).mean((0, 1))
    assert sorted(means) == [100, 100, 101, 103, 104, 105]

    assert main(["convert", str(folder), str(out), "--on-missing-slice", "blocks"]) == UNDECIDED
    assert main(["convert", str(folder), str(out), "--on-missing-slice", "blocks", "--volume", "2"]) == DONE
    assert nib.load(out).shape == (5, 4, 3)


def test_info_reports_what_was_found_repaired_decided_and_refused(series_with_a_gap, capsys):
    for path in series_with_a_gap.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SliceThickness = 99
        dataset.save_as(path)
    (series_with_a_gap / "broken.nii").write_text("no image")
    command = ["info", str(series_with_a_gap), "--on-missing-slice", "empty"]
    assert main([*command, "--json"]) == DONE
    (volume,) = json.loads(capsys.readouterr().out)["volumes"]
    report = volume["report"]
    assert (report["facts"]["files"], report["facts"]["slices"], report["facts"]["axis_codes"]) == (5, 6, "SPL")
    assert [e["code"] for e in report["repaired"]] == ["dicom.empty_slices", "dicom.thickness_differs"]
    assert [e["code"] for e in report["decided"]] == ["decided.on_missing_slice"]
    assert [e["code"] for e in report["refused"]] == ["nifti.not_nifti"]
    assert {e["code"] for e in volume["warnings"]} == {e["code"] for e in report["repaired"] + report["decided"]}
    assert main(command) == DONE
    told = capsys.readouterr().out
    assert "    repaired  warning dicom.thickness_differs: Slice Thickness says 99 mm" in told
    assert "    decided   note decided.on_missing_slice: 1 slice is missing" in told


def test_a_study_in_an_archive_is_converted_and_nothing_stays(image, tmp_path, capsys, monkeypatch):
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(rooms))
    path, out = tmp_path / "study.zip", tmp_path / "copy.nii.gz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(image, "a/ct.nii.gz")
        archive.writestr("../evil.nii", b"evil")
    assert main(["info", str(path), "--json"]) == DONE
    told = json.loads(capsys.readouterr().out)
    assert told["volumes"][0]["report"]["facts"]["archive"] == "study.zip"
    assert [refused["code"] for refused in told["refused"]] == ["archive.outside"]
    assert main(["convert", str(path), str(out)]) == DONE
    assert np.array_equal(np.asanyarray(nib.load(out).dataobj), np.asanyarray(nib.load(image).dataobj))
    assert not list(rooms.iterdir())
    assert not (tmp_path / "evil.nii").exists()


def test_models_are_listed(capsys):
    assert main(["models", "--json"]) == DONE
    cards = {card["id"]: card for card in json.loads(capsys.readouterr().out)}
    assert {"ct-tissues", "phantom-organs"} <= set(cards)
    assert "not for patients" in cards["phantom-organs"]["intended_use"].lower()


def _text_named_nifti(folder):
    path = folder / "notes.nii.gz"
    path.write_text("not an image")
    return path


def _truncated(folder):
    path = folder / "cut.nii.gz"
    whole = gzip.compress(nib.Nifti1Image(np.random.default_rng(0).random((20, 20, 20)), np.eye(4)).to_bytes())
    path.write_bytes(whole[: len(whole) - 900])
    return path


def _empty_folder(folder):
    path = folder / "empty"
    path.mkdir()
    return path


@pytest.mark.parametrize("make", [_text_named_nifti, _truncated, _empty_folder])
def test_bad_input_is_refused_in_one_sentence(make, tmp_path, capsys):
    path, out = make(tmp_path), tmp_path / "out.nii.gz"
    assert main(["segment", str(path), str(out), "--model", "ct-tissues"]) == REFUSED
    error = capsys.readouterr().err
    assert error.startswith("napari-volseg: ")
    assert len(error.strip().splitlines()) == 1
    assert not out.exists()
    assert main(["info", str(path)]) == REFUSED
    assert capsys.readouterr().err == error


def test_a_checkpoint_that_is_not_one_is_refused(image, tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(_shipped_model(), folder)
    (weights,) = (folder / "fold_0").iterdir()
    weights.write_bytes(b"these are no weights")
    out = tmp_path / "out.nii.gz"
    assert main(["segment", str(image), str(out), "--model", str(folder)]) == REFUSED
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not out.exists()


def _shipped_model():
    from pathlib import Path

    import napari_volseg.inference as room

    return Path(room.__file__).parent / "weights" / "phantom-organs"


@pytest.mark.parametrize(
    "arguments",
    [
        ["segment", "IMAGE", "out.nii.gz", "--model", "no-such-model"],
        ["segment", "IMAGE", "out.txt", "--model", "ct-tissues"],
        ["segment", "missing.nii", "out.nii.gz", "--model", "ct-tissues"],
        ["info", "missing.nii"],
    ],
)
def test_wrong_requests_are_usage_errors(arguments, image, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(image) if a == "IMAGE" else a for a in arguments]) == USAGE
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_missing_option_is_a_usage_error():
    with pytest.raises(SystemExit) as caught:
        main(["segment", "a", "b"])
    assert caught.value.code == USAGE


def test_without_a_display_the_window_is_declined(monkeypatch, capsys, image):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert main([str(image)]) == USAGE
    assert "no display" in capsys.readouterr().err
    monkeypatch.setenv("DISPLAY", ":98765")
    assert main([str(image)]) == USAGE


def _content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", ["convert", "segment", "report"])
def test_an_image_is_never_overwritten_by_what_is_made_of_it(image, command, tmp_path, capsys):
    before = _content(tmp_path)
    commands = {
        "convert": ["convert", image, image],
        "segment": ["segment", image, image, "--model", "ct-tissues"],
        "report": ["segment", image, tmp_path / "labels.nii.gz", "--model", "ct-tissues", "--report", image],
    }
    assert main([str(word) for word in commands[command]]) == REFUSED
    assert "is a source file" in capsys.readouterr().err
    assert _content(tmp_path) == before


def test_a_slice_is_never_overwritten_by_a_segmentation(tmp_path, capsys):
    series = tmp_path / "series"
    shutil.copytree(sample_path("torso-ct-dicom"), series)
    before = _content(series)
    slice_path = sorted(series.iterdir())[3]
    assert main(["segment", str(series), str(slice_path), "--model", "ct-tissues"]) == REFUSED
    assert "is a source file" in capsys.readouterr().err
    assert _content(series) == before


@pytest.mark.parametrize("report", ["nowhere/run.json", "ct.nii.gz/run.json", "."])
def test_a_report_without_a_place_is_refused_before_labels_are_written(image, report, tmp_path, capsys):
    before = _content(tmp_path)
    words = ["segment", image, tmp_path / "labels.nii.gz", "--model", "ct-tissues", "--report", tmp_path / report]
    assert main([str(word) for word in words]) == REFUSED
    assert capsys.readouterr().err.count("\n") == 1
    assert _content(tmp_path) == before


def test_labels_and_report_need_two_files(image, tmp_path):
    out = str(tmp_path / "labels.nii.gz")
    assert main(["segment", str(image), out, "--model", "ct-tissues", "--report", out]) == USAGE


def test_too_little_memory_is_one_sentence(image, tmp_path, capsys, monkeypatch):
    def no_memory(*_, **__):
        raise MemoryError("Unable to allocate 2 PiB")

    monkeypatch.setattr("napari_volseg.formats.open_volume", no_memory)
    assert main(["convert", str(image), str(tmp_path / "out.nii.gz")]) == REFUSED
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", ["convert", "segment"])
def test_what_was_assumed_on_reading_is_told(command, tmp_path, capsys):
    series = tmp_path / "series"
    shutil.copytree(sample_path("torso-ct-dicom"), series)
    for path in series.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.SliceThickness = 99
        dataset.save_as(path)
    words = [command, str(series), str(tmp_path / "out.nii.gz")]
    assert main([*words, *(["--model", "ct-tissues"] if command == "segment" else [])]) == DONE
    assert "warning: Slice Thickness says 99 mm" in capsys.readouterr().err


def test_words_of_libraries_stay_off_the_terminal(image, tmp_path):
    damaged = tmp_path / "infinite.nii"
    whole = bytearray(nib.load(image).to_bytes())
    whole[284:288] = np.float32(np.inf).tobytes()
    damaged.write_bytes(whole)
    words = [sys.executable, "-m", "napari_volseg", "convert", str(damaged), str(tmp_path / "out.nii.gz")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED
    assert done.stderr.count("\n") == 1
