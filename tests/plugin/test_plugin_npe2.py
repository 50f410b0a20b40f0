"""What napari gets from the plugin: the same grid as the program, or nothing at all."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from napari.layers import Image
from npe2 import PluginManifest

import napari_volseg
from napari_volseg.app import SAMPLES, looks_medical
from napari_volseg.core import RefusedError, Segment, SegmentTable
from napari_volseg.formats import load_labels, open_volume
from napari_volseg.plugin.readers import get_dicom_reader, get_nifti_reader
from napari_volseg.plugin.writers import write_labels
from napari_volseg.viewer.handover import TABLE_KEY, VOLUME_KEY


@pytest.fixture
def manifest():
    return PluginManifest.from_file(Path(napari_volseg.__file__).parent / "napari.yaml")


@pytest.fixture
def oblique_file(tmp_path):
    """A NIfTI file with permuted, flipped and oblique axes and values that tell every voxel apart."""
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    affine = np.array([[0.0, 0.3, -3.0, 10.0], [2.0, 0.0, 0.2, -5.0], [0.0, -1.5, -0.1, 7.0], [0, 0, 0, 1]])
    path = tmp_path / "oblique.nii.gz"
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def test_every_command_of_the_manifest_exists(manifest):
    pytest.importorskip("qtpy")
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        if module != "napari_volseg.plugin.widgets":
            assert callable(getattr(importlib.import_module(module), name))


def test_every_sample_is_in_the_menu(manifest):
    assert {sample.key for sample in manifest.contributions.sample_data} == set(SAMPLES)


def test_reading_needs_no_qt():
    code = (
        "import sys, napari_volseg.plugin.readers; print([m for m in sys.modules if m.startswith(('PyQt', 'qtpy'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_layer_lies_on_the_grid_of_the_program(oblique_file):
    ((voxels, meta, kind),) = get_nifti_reader(str(oblique_file))(str(oblique_file))
    volume = open_volume(oblique_file)
    assert kind == "image"
    np.testing.assert_array_equal(voxels, volume.voxels)
    np.testing.assert_allclose(meta["scale"], volume.geometry.spacing, atol=1e-6)
    assert all(step > 0 for step in meta["scale"])
    assert meta["metadata"][VOLUME_KEY].geometry == volume.geometry
    layer = Image(voxels, **meta)
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("z", "y", "x")


def test_four_dimensional_images_keep_their_time_axis(tmp_path):
    path = tmp_path / "series.nii"
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 7, 3), np.float32), np.diag([1.0, 2.0, 3.0, 1.0])), path)
    ((voxels, meta, _),) = get_nifti_reader(str(path))(str(path))
    assert voxels.shape == (3, 7, 6, 5)
    assert Image(voxels, **meta).scale.tolist() == [1, 3, 2, 1]


def test_a_dicom_folder_is_read_and_other_folders_are_declined(sample_data, tmp_path):
    folder = sample_data / "torso-ct-dicom"
    ((voxels, meta, _),) = get_dicom_reader(str(folder))(str(folder))
    assert voxels.shape == open_volume(folder).voxels.shape
    assert meta["contrast_limits"] == (-160.0, 240.0)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "picture.dcm").write_bytes(b"\x89PNG" + bytes(200))
    assert get_dicom_reader(str(tmp_path)) is None
    assert get_dicom_reader(str(tmp_path / "picture.dcm")) is None
    assert get_nifti_reader(str(tmp_path / "notes.txt")) is None


def test_looking_at_a_large_foreign_folder_is_quick(tmp_path, monkeypatch):
    for number in range(300):
        (tmp_path / f"{number}.txt").write_text("x")
    opened = []
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *args: opened.append(self) or original(self, *args))
    assert not looks_medical(tmp_path)
    assert 0 < len(opened) <= 50


def test_a_damaged_file_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "text.nii.gz"
    path.write_text("this is a text")
    with pytest.raises(RefusedError):
        get_nifti_reader(str(path))(str(path))


def test_labels_return_to_the_place_of_their_image(oblique_file, tmp_path):
    volume = open_volume(oblique_file)
    labels = np.zeros(volume.geometry.shape, np.uint16)
    labels[1:3, 1:4, 2:4] = 7
    table = SegmentTable((Segment(7, "Liver"),))
    metadata = {VOLUME_KEY: volume, TABLE_KEY: lambda: table}
    (written,) = write_labels(str(tmp_path / "out.nii.gz"), labels, {"name": "Segments", "metadata": metadata})
    assert np.array_equal(nib.load(written).affine, nib.load(oblique_file).affine)
    back = load_labels(written, volume)
    np.testing.assert_array_equal(back.labels, labels)
    assert [s.name for s in back.table] == ["Liver"]


def test_labels_of_unknown_place_are_refused(tmp_path):
    target = tmp_path / "out.nii.gz"
    with pytest.raises(RefusedError, match="does not say which image"):
        write_labels(str(target), np.zeros((3, 4, 5), np.uint8), {"name": "mine", "metadata": {}})
    assert not target.exists()
