"""A program among models runs only once the user has said so, by its content; added folders are remembered."""

from __future__ import annotations

import json
import stat

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import COMMANDS, Application, ModelPlaces
from napari_volseg.cli import DONE, REFUSED, main
from napari_volseg.core import Geometry, UsageError, Volume

SHAPE = (8, 9, 10)
CARD = {
    "network": {"kind": "torchscript", "file": "model.ts"},
    "channels": [{"name": "T1", "scheme": "NoNormalization"}],
    "labels": ["background", "bright"],
    "spacing": [1, 1, 1],
    "patch_size": [8, 8, 8],
    "orientation": "SPL",
    "title": "Bright",
}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def save_program(torch, path, scale=1.0, channels=1):
    """Save a network that labels where the mean of its channels is positive."""
    conv = torch.nn.Conv3d(channels, 2, 1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[1] = scale / channels
        conv.bias.zero_()
    torch.jit.script(conv.eval()).save(path)


@pytest.fixture
def folder(torch, tmp_path):
    folder = tmp_path / "bright"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps(CARD))
    save_program(torch, folder / "model.ts")
    return folder


@pytest.fixture
def volume():
    voxels = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing(SHAPE), "MR")


def started(path, volume):
    app = Application(places=ModelPlaces(path))
    app.adopt(volume)
    app.questions = []
    app.asked.connect(app.questions.append)
    return app


def add(app, folder):
    app.jobs.wait(app.models.add_folder(folder))


def test_it_does_not_run_before_it_is_trusted_and_then_for_good(folder, volume, tmp_path):
    kept = tmp_path / "kept" / "models.json"
    app = started(kept, volume)
    add(app, folder)
    (question,) = app.questions
    assert "can do anything that you can on this computer" in question.text
    assert next(iter(question.choices)) == "leave"
    question.answer("leave")
    with pytest.raises(UsageError, match="not trusted"):
        COMMANDS["segment.run"](app)
    app.jobs.wait(app.run_model())  # past the command, the engine refuses
    assert not app.case.segmentation.labels.any()
    COMMANDS["model.trust"](app)
    app.questions[1].answer("trust")
    app.jobs.wait(COMMANDS["segment.run"](app))
    assert np.array_equal(app.case.segmentation.labels > 0, volume.voxels > 0)
    app.close()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    again = started(kept, volume)
    again.models.look()
    again.jobs.wait()
    again.tools.model = str(folder)
    assert again.models.untrusted is None
    again.jobs.wait(COMMANDS["segment.run"](again))
    assert again.case.segmentation.labels.any()
    assert not again.questions
    again.close()


def test_another_program_in_its_place_is_not_trusted(torch, folder, volume, tmp_path):
    app = started(tmp_path / "models.json", volume)
    add(app, folder)
    app.questions[0].answer("trust")
    save_program(torch, folder / "model.ts", scale=2.0)
    told = []
    app.noticed.connect(told.append)
    app.jobs.wait(app.run_model())
    assert not app.case.segmentation.labels.any()
    assert "TorchScript" in told[-1].text
    add(app, folder)
    assert len(app.questions) == 2
    app.close()


def test_a_folder_that_is_gone_and_a_damaged_file_are_no_obstacle(folder, volume, tmp_path):
    kept = tmp_path / "models.json"
    kept.write_text(json.dumps({"folders": [str(tmp_path / "gone"), str(folder), 3], "trusted": 7}))
    app = started(kept, volume)
    app.models.look()
    app.jobs.wait()
    assert [model.key for model in app.models.models if "/" in model.key] == [str(folder)]
    app.close()
    kept.write_text("[")
    assert ModelPlaces(kept).folders == ()


@pytest.fixture
def image(volume, tmp_path):
    def write(name, voxels):
        affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        image = nib.Nifti1Image(voxels.T, affine)
        image.set_sform(affine, 1)
        nib.save(image, tmp_path / name)
        return tmp_path / name

    return write


def test_the_command_line_takes_trust_as_a_flag(folder, volume, image, tmp_path):
    source, out = image("t1.nii.gz", volume.voxels), tmp_path / "out.nii.gz"
    command = ["segment", str(source), str(out), "--model", str(folder)]
    assert main(command) == REFUSED
    assert not out.exists()
    assert main([*command, "--trust"]) == DONE
    assert np.array_equal(np.asarray(nib.load(out).dataobj).T > 0, volume.voxels > 0)


def test_a_model_of_two_channels_gets_its_second_image(torch, folder, volume, image, tmp_path):
    channels = [*CARD["channels"], {"name": "T2", "scheme": "NoNormalization"}]
    (folder / "card.json").write_text(json.dumps({**CARD, "channels": channels}))
    save_program(torch, folder / "model.ts", channels=2)
    other = np.roll(volume.voxels, 1, 0) * 3
    first, second = image("t1.nii.gz", volume.voxels), image("t2.nii.gz", other)
    expected = volume.voxels + other > 0
    out = tmp_path / "out.nii.gz"
    command = ["segment", str(first), str(out), "--model", str(folder), "--trust"]
    assert main(command) == REFUSED
    assert main([*command, "--further", str(second)]) == DONE
    assert np.array_equal(np.asarray(nib.load(out).dataobj).T > 0, expected)

    app = started(tmp_path / "models.json", volume)
    app.jobs.wait(app.open_path(first))
    app.jobs.wait()
    add(app, folder)
    app.questions[0].answer("trust")
    with pytest.raises(UsageError, match="it needs an image of T2"):
        COMMANDS["segment.run"](app)
    app.tools.channels = {"T2": str(second)}
    app.jobs.wait(COMMANDS["segment.run"](app))
    assert np.array_equal(app.case.segmentation.labels > 0, expected)
    app.close()
