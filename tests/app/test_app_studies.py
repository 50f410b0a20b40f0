"""What a scan found as patients, studies and series, and their thumbnails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import Application, sample_path
from napari_volseg.app.studies import nearest_to, patients_of
from napari_volseg.app.thumbnails import read_thumbnail
from napari_volseg.core import CancelledError, CancelToken, Progress, no_progress
from napari_volseg.formats import FoundVolume, Scan, scan

SHAPE = (20, 16, 12)


def write(path: Path, shape=SHAPE) -> Path:
    """A NIfTI (x, y, z) that is bright to the left, to the back and at the feet; RAS axes, 2 mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, z = np.ogrid[tuple(slice(n) for n in shape)]
    voxels = ((x < 4) * 100 + (y < 4) * 200 + (z < 3) * 400 + 50).astype(np.int16)
    image = nib.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


@pytest.fixture
def found(tmp_path) -> tuple[FoundVolume, ...]:
    for name in ("a/ct.nii.gz", "a/pt.nii.gz", "b/ct.nii.gz", "b/mr.nii.gz"):
        write(tmp_path / name)
    return scan(tmp_path).found


def dicom_like(found: tuple[FoundVolume, ...]) -> tuple[FoundVolume, ...]:
    """Four series: three of one patient in two studies, one of another; the first and third together."""
    told = [("p1", "s1", "CT", "2020-01-01"), ("p1", "s2", "PT", "2021-05-05")]
    told += [("p1", "s1", "MR", "2020-01-02"), ("p2", "s3", "MR", "")]
    fields = ("patient", "study_uid", "modality", "date")
    return tuple(replace(v, **dict(zip(fields, t, strict=True))) for v, t in zip(found, told, strict=True))


def test_series_are_grouped_by_patient_and_study_and_nobody_is_named(found) -> None:
    series = dicom_like(found)
    first, second = patients_of(Scan(series))
    assert first.title == "Patient 1"
    assert second.title == "Patient 2 · b"
    assert [study.title for study in first.studies] == ["2020-01-01 to 2020-01-02 · CT, MR", "2021-05-05 · PT"]
    assert first.studies[0].series == (series[0], series[2])
    assert [study.title for study in second.studies] == ["Without date · MR"]


def test_files_of_nobody_are_grouped_by_their_folders(found) -> None:
    assert [patient.title for patient in patients_of(Scan(found))] == ["a", "b"]
    assert patients_of(None) == ()


def test_beside_an_open_series_one_of_its_study_comes_first(found) -> None:
    series = dicom_like(found)
    assert nearest_to(series[0], series) is series[2]
    assert nearest_to(series[1], series) is series[0]
    assert nearest_to(series[3], series) is series[0]
    assert nearest_to(None, series) is series[0]
    assert nearest_to(series[0], series[:1]) is series[0]
    assert nearest_to(found[3], found) is found[2]


def test_a_thumbnail_is_the_middle_slice_the_right_way_up(tmp_path) -> None:
    (one,) = scan(write(tmp_path / "ct.nii.gz")).found
    seen = read_thumbnail(one, no_progress, CancelToken())
    assert seen.plane == "axial"
    row = seen.volume.voxels[0]
    assert row.shape == (16, 20)
    # towards the back and towards the left, on a display grid; the middle is not at the feet
    assert (row[0, 0], row[0, -1], row[-1, 0], row[-1, -1]) == (50, 150, 250, 350)


def test_of_a_dicom_series_only_what_the_middle_takes_is_read() -> None:
    (one,) = scan(sample_path("torso-ct-dicom")).found
    told: list[Progress] = []
    seen = read_thumbnail(one, told.append, CancelToken())
    assert seen.volume.geometry.shape[0] == 1
    assert max(p.done for p in told) < one.slices / 2


def test_a_cancelled_thumbnail_is_none_at_all(found) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(CancelledError):
        read_thumbnail(found[0], no_progress, cancel)


def test_a_file_that_cannot_be_read_has_no_thumbnail_and_stops_no_other(found) -> None:
    found[0].paths[0].write_bytes(b"no image any more")
    app = Application()
    arrived = []
    app.thumbnails.arrived.connect(arrived.append)
    app.thumbnails.want(found)
    app.jobs.wait()
    assert set(arrived) == set(found)
    assert app.thumbnails.get(found[0]) is None
    assert app.thumbnails.get(found[1]) is not None
    app.close()


def test_a_place_is_listed_without_opening_it(tmp_path) -> None:
    path = write(tmp_path / "one" / "ct.nii.gz")
    app = Application()
    assert app.last_folder is None
    app.jobs.wait(app.list_path(path))
    app.jobs.wait()
    assert len(app.scan_result.found) == 1
    assert app.case is None
    assert app.last_folder == path.parent
    app.close()
