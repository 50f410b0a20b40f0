"""Channels of a model are matched by name, told with the reason, and put on the grid of the open image."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from test_app_trust import CARD

from napari_volseg.app import COMMANDS, Application, ModelPlaces
from napari_volseg.app.channels import (
    OPEN,
    Source,
    by_name,
    choices_of,
    choose,
    onto_grid,
    sequence_of,
    why_incomplete,
)
from napari_volseg.cli import DONE, USAGE, main
from napari_volseg.core import Geometry, RefusedError, UsageError, Volume

NAMES = {
    "Ax T2 FLAIR": "FLAIR",
    "t2f": "FLAIR",
    "BraTS_00001_t1ce": "T1CE",
    "T1 post contrast": "T1CE",
    "T1W_Gd SAG": "T1CE",
    "t1+c axial": "T1CE",
    "CE-T1": "T1CE",
    "pre contrast T1": "T1",
    "T1 non-enhanced": "T1",
    "T1 C-spine": "T1",
    "t1n": "T1",
    "T1-weighted": "T1",
    "sub-01_T1w": "T1",
    "t2_tse_tra": "T2",
    "ADC (10^-6)": "ADC",
    "ep2d_diff_b1000": "DWI",
    "CT": "CT",
    "T1 and T2": "",
    "localizer": "",
    "contract 12": "",
    "sct1x": "",
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_names_tell_sequences_or_nothing(name, expected):
    assert sequence_of(name) == expected


def test_a_modality_tells_where_the_name_does_not():
    assert sequence_of("Thorax 3.0", "CT") == "CT"
    assert sequence_of("AC corrected", "PT") == "PET"
    assert sequence_of("PET CT WB", "CT") == "CT"
    assert sequence_of("PET CT WB") == ""
    assert sequence_of("Thorax", "MR") == ""


def sources(*names):
    first, *others = names
    made = [Source(OPEN, first, sequence_of(first))]
    return (*made, *(Source(f"found {n}", name, sequence_of(name)) for n, name in enumerate(others)))


def test_the_order_is_that_of_the_card_whatever_is_open():
    choices = choose(("T1", "T2", "FLAIR"), sources("Ax FLAIR", "t2_tse", "T1w"), {})
    assert [choice.source.title for choice in choices] == ["T1w", "t2_tse", "Ax FLAIR"]
    assert choices[2].reason == 'its name, "Ax FLAIR", tells FLAIR'
    assert why_incomplete(choices) is None


def test_what_is_missing_or_not_clear_is_left_open_and_told():
    choices = choose(("T1", "T2"), sources("T1w", "t2_tse", "t2_blade"), {})
    assert choices[1].source is None
    assert why_incomplete(choices) == "it needs an image of T2, and 2 images are called T2: choose one"
    choices = choose(("T1", "FLAIR"), sources("T1w", "t2_tse"), {})
    assert "no image in reach is called FLAIR" in why_incomplete(choices)
    choices = choose(("channel 0", "T1"), sources("T1w", "brain"), {})
    assert "no name tells which image is channel 0" in why_incomplete(choices)


def test_a_choice_by_hand_goes_before_names():
    choices = choose(("T1", "T2"), sources("T1w", "t2_tse", "t2_blade"), {"T2": "found 1"})
    assert choices[1].source.title == "t2_blade"
    assert choices[1].reason == "chosen by hand"
    assert why_incomplete(choices) is None


def test_the_same_image_twice_and_none_that_is_open_are_refused():
    twice = choose(("T1", "T2"), sources("T1w", "t2_tse"), {"T2": OPEN})
    assert why_incomplete(twice) == "T1 and T2 are the same image: choose another one"
    away = choose(("T1", "T2"), sources("localizer", "T1w", "t2_tse"), {})
    assert "none of its images is the open one" in why_incomplete(away)


def test_the_open_one_is_taken_where_several_have_its_name():
    choices = choose(("T1", "T2"), sources("T1w", "T1w", "t2_tse"), {})
    assert choices[0].source.key == OPEN


# -- with a model whose channels are not alike ----------------------------------------------------------------------

SHAPE, SPACING = (20, 24, 22), (2.0, 1.5, 1.5)


@pytest.fixture
def folder(tmp_path):
    """A model that labels where its first channel is larger than its second one."""
    torch = pytest.importorskip("torch")
    folder = tmp_path / "larger"
    folder.mkdir()
    channels = [{"name": name, "scheme": "NoNormalization"} for name in ("T1", "FLAIR")]
    (folder / "card.json").write_text(json.dumps({**CARD, "channels": channels, "spacing": list(SPACING)}))
    conv = torch.nn.Conv3d(2, 2, 1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[1, 0], conv.weight[1, 1] = 1.0, -1.0
        conv.bias.zero_()
    torch.jit.script(conv.eval()).save(folder / "model.ts")
    return folder


def smooth(points):
    """Two images of a patient at points (x, y, z), mm: neither symmetric, nor one the mirror image of the other."""
    x, y, z = np.moveaxis(points, -1, 0)
    first = np.exp(-((x - 6) ** 2 + (y + 4) ** 2 + (z - 5) ** 2) / 60)
    second = 0.4 * np.exp(-((x + 7) ** 2 + (y - 3) ** 2 + (z + 6) ** 2) / 90) + 0.2
    return first, second


def image_on(geometry, which):
    points = geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return smooth(points)[which].astype(np.float32)


def reference():
    matrix = Geometry.from_spacing(SHAPE, SPACING, (-15.0, -17.0, -19.0)).matrix
    return Geometry(SHAPE, matrix)


def finer():
    """A larger grid with other spacing, so that the whole reference lies within."""
    return Geometry.from_spacing((60, 66, 64), (0.9, 0.8, 0.8), (-24.0, -25.0, -26.0))


def save(path, geometry, which):
    affine = geometry.matrix[:, [2, 1, 0, 3]].copy()
    affine[:2] *= -1
    image = nib.Nifti1Image(image_on(geometry, which).T, affine)
    image.set_sform(affine, 1)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


@pytest.mark.parametrize("which_is_open", [0, 1])
def test_labels_land_on_the_open_image_whichever_channel_it_is(folder, tmp_path, which_is_open):
    """The other channel lies on a grid of its own, and is found beside the open one by its name."""
    study = tmp_path / "study"
    study.mkdir()
    names = ("a_t1.nii.gz", "a_flair.nii.gz")
    for which, name in enumerate(names):
        save(study / name, reference() if which == which_is_open else finer(), which)
    app = Application(places=ModelPlaces(tmp_path / "models.json"))
    questions, told = [], []
    app.asked.connect(questions.append)
    app.noticed.connect(lambda notice: told.append(notice.text))
    app.jobs.wait(app.list_path(study))
    found = next(f for f in app.scan_result.found if f.paths[0].name == names[which_is_open])
    app.jobs.wait(app.open_found(found))
    app.jobs.wait(app.models.add_folder(folder))
    questions[0].answer("trust")
    assert [choice.source.key == OPEN for choice in choices_of(app)] == [which_is_open == 0, which_is_open == 1]
    app.jobs.wait(COMMANDS["segment.run"](app))
    geometry = app.case.volume.geometry
    expected = image_on(geometry, 0) > image_on(geometry, 1)
    wrong = (app.case.segmentation.labels > 0) != expected
    assert 100 < expected.sum() < expected.size / 3
    assert wrong.sum() <= 0.01 * expected.sum()
    assert any("was resampled onto the grid of" in text for text in told)
    app.close()


def test_a_model_waits_for_its_channels_and_says_which(folder, tmp_path):
    app = Application(places=ModelPlaces(tmp_path / "models.json"))
    questions = []
    app.asked.connect(questions.append)
    app.jobs.wait(app.open_path(save(tmp_path / "t1.nii.gz", reference(), 0)))
    app.jobs.wait()
    app.jobs.wait(app.models.add_folder(folder))
    questions[0].answer("trust")
    with pytest.raises(UsageError, match="it needs an image of FLAIR, and no image in reach is called FLAIR"):
        COMMANDS["segment.run"](app)
    path = save(tmp_path / "other.nii.gz", reference(), 1)
    app.tools.channels = {"FLAIR": str(path)}
    app.jobs.wait(COMMANDS["segment.run"](app))
    assert app.case.segmentation.labels.any()
    app.close()


def test_the_command_line_takes_channels_by_name(folder, tmp_path, capsys):
    first, second = save(tmp_path / "x.nii.gz", reference(), 0), save(tmp_path / "y.nii.gz", finer(), 1)
    one, other = tmp_path / "one.nii.gz", tmp_path / "other.nii.gz"
    command = ["--model", str(folder), "--trust"]
    assert main(["segment", str(first), str(one), *command, "--channel", f"flair={second}"]) == DONE
    assert "was resampled onto the grid of" in capsys.readouterr().err
    labels = np.asarray(nib.load(one).dataobj).T > 0
    expected = image_on(reference(), 0) > image_on(reference(), 1)
    assert (labels != expected).sum() <= 0.01 * expected.sum()
    assert main(["segment", str(second), str(other), *command, "--channel", f"T1={first}"]) == DONE
    assert nib.load(other).shape == nib.load(second).shape
    for wrong in (["T2=" + str(second)], ["flair"], [f"T1={second}", f"FLAIR={second}"], [f"T1={second}"] * 2):
        given = [word for channel in wrong for word in ("--channel", channel)]
        assert main(["segment", str(first), str(one), *command, *given]) == USAGE


def test_other_frames_of_reference_and_places_are_refused():
    here = Volume(image_on(reference(), 0), replace(reference(), frame_of_reference_uid="1.2.3"), "MR", name="here")
    there = Volume(image_on(reference(), 1), replace(reference(), frame_of_reference_uid="1.2.4"), "MR", name="there")
    with pytest.raises(RefusedError, match="do not share a frame of reference"):
        onto_grid(there, here, "FLAIR")
    half = replace(reference(), frame_of_reference_uid="")
    moved = Geometry(SHAPE, half.matrix + np.array([[0, 0, 0, 9.0]] + [[0, 0, 0, 0]] * 3))
    put, (finding,) = onto_grid(Volume(image_on(moved, 1), moved, "MR", name="half"), here, "FLAIR")
    assert put.geometry.same_grid(here.geometry)
    assert 0.19 < put.voxels.min() < put.voxels.max() < 0.7
    assert "lies outside of it and was filled" in finding.message
    far = Geometry.from_spacing(SHAPE, SPACING, (500.0, 0.0, 0.0))
    with pytest.raises(UsageError, match="shows no part of what"):
        onto_grid(Volume(image_on(far, 1), far, "MR", name="far"), here, "FLAIR")


def test_files_by_name_leave_one_for_the_image_itself():
    path = Path("t1.nii")
    assert by_name(("T1", "FLAIR"), {"t1": path}) == [path, None]
    with pytest.raises(UsageError, match="no file is given for T1, FLAIR"):
        by_name(("T1", "T2", "FLAIR"), {"T2": path})
