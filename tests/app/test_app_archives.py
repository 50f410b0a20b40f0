"""An image in a zip archive is opened as any other, exported beside its archive, and leaves nothing behind."""

import zipfile
from pathlib import Path

import pytest

from napari_volseg.app import Application, suggest_path
from napari_volseg.app.session_file import source_reference
from napari_volseg.core import Answers
from napari_volseg.formats import open_volume


@pytest.fixture
def archive(series_with_a_gap, tmp_path):
    path = tmp_path / "Exam 12.zip"
    with zipfile.ZipFile(path, "w") as out:
        for file in series_with_a_gap.iterdir():
            out.write(file, f"DICOM/{file.name}")
    return path


def test_a_question_about_an_archive_is_answered_and_its_files_go_with_the_app(archive, series_with_a_gap):
    app, questions = Application(), []
    app.asked.connect(questions.append)
    app.open_path(archive)
    app.jobs.wait()
    questions[-1].answer("empty")
    app.jobs.wait()
    volume = app.case.volume
    assert app.report.facts["archive"] == archive.name
    assert app.report.fact_lines()[0].startswith("DICOM from Exam 12.zip, 5 files")
    plain = open_volume(series_with_a_gap, answers=Answers(on_missing_slice="empty"))
    assert source_reference(volume) == source_reference(plain)
    assert suggest_path("nifti", volume) == archive.parent / "Exam 12_labels.nii.gz"

    unpacked = volume.provenance.paths
    assert all(path.exists() for path in unpacked)
    rooms = {Path(*path.parts[: path.parts.index("DICOM")]).parent for path in unpacked}
    assert [room.stat().st_mode & 0o777 for room in rooms] == [0o700]
    app.close()
    assert not any(room.exists() for room in rooms)
