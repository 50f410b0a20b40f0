"""Every DICOM row of the catalogue of oddities, made by its recipe and judged by its verdict.

R: beads within 1e-3 mm and exact values. W: the same, with a recorded warning. X: refused by a code. A: asks, by a
keyword, and each answer does what it says. The table ``ROWS`` names the rows by their number in the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_corpus import ROWS, Truth
from dicom_factory import Recipe, setting_each, write_series

from napari_volseg.core import (
    DecisionNeededError,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    TimeAxis,
    Volume,
)
from napari_volseg.formats import (
    Answers,
    FoundVolume,
    load,
    load_labels,
    open_volume,
    save_dicom_seg,
    save_volume_nifti,
    scan,
)


def named(verdict: str) -> list[str]:
    return [name for name, row in ROWS.items() if row.verdict == verdict]


def judge_beads(volume: Volume, truth: Truth, tolerance: float) -> None:
    """Assert that each bead is seen once, where the raw tags put it, with its exact value."""
    for t, beads in enumerate(truth.beads):
        voxels = volume.at_time(t).voxels
        for value, place in beads.items():
            seen = np.argwhere(np.isclose(voxels, value, rtol=1e-6, atol=0))
            assert len(seen) == 1, f"value {value} is seen {len(seen)} times"
            if place is None:
                assert volume.origin_provenance.details["uncalibrated"]
            else:
                assert np.linalg.norm(volume.geometry.to_patient(seen[0]) - place) < tolerance
    assert (volume.time is None) == (len(truth.beads) == 1)


def open_it(folder: Path, truth: Truth, answers: Answers | None = None) -> Volume:
    """Open the volume in question: the one with the most slices, where others were split off."""
    if not truth.others:
        return open_volume(folder / truth.entry, answers=answers)
    result = scan(folder, answers=answers)
    assert len(result.found) == 1 + truth.others
    return load(max(result.found, key=lambda found: found.slices), answers=answers)


def codes(volume: Volume, severity: str | None = None) -> set[str]:
    return {f.code for f in volume.origin_provenance.findings if severity in (None, f.severity)}


def one_sentence(error: Exception) -> bool:
    """Whether an error says what is wrong, and after a colon or semicolon what is needed or to be done."""
    says_more = any(mark in str(error).removeprefix("series 'Chest': ") for mark in (": ", "; "))
    return "\n" not in str(error) and 20 < len(str(error)) < 600 and says_more


@pytest.mark.parametrize("name", named("R"))
def test_right(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    truth = row.make(tmp_path)
    volume = open_it(tmp_path, truth)
    judge_beads(volume, truth, row.tolerance)
    assert codes(volume, "warning") <= truth.may_warn
    if row.code:
        assert row.code in codes(volume)


@pytest.mark.parametrize("name", named("W"))
def test_right_with_a_warning(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    truth = row.make(tmp_path)
    volume = open_it(tmp_path, truth)
    judge_beads(volume, truth, row.tolerance)
    assert row.code in codes(volume, "warning")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", named("X"))
def test_refused(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    truth = row.make(tmp_path)
    with pytest.raises(RefusedError) as caught:
        open_volume(tmp_path / truth.entry)
    assert caught.value.code == row.code
    assert one_sentence(caught.value)
    assert not scan(tmp_path / truth.entry).found


@pytest.mark.parametrize("name", named("A"))
def test_asked(tmp_path: Path, name: str) -> None:
    row = ROWS[name]
    truth = row.make(tmp_path)
    listed = scan(tmp_path).found
    assert row.code in {decision.code for found in listed for decision in found.decisions}
    with pytest.raises(DecisionNeededError) as caught:
        load(listed[0])
    assert one_sentence(caught.value)
    keyword = caught.value.keyword
    assert set(caught.value.choices) >= {"refuse", *row.answers}
    refused = scan(tmp_path, answers=Answers(**{**truth.also, keyword: "refuse"}))
    assert not refused.found
    assert row.code in {file.code for file in refused.refused}
    for answer, outcome in row.answers.items():
        answers = Answers(**{**truth.also, keyword: answer})
        if outcome is None:
            judge_blocks(scan(tmp_path, answers=answers).found, truth)
            continue
        for volume in (open_it(tmp_path, truth, answers), load(listed[0], answers=answers)):
            judge_beads(volume, outcome(truth), row.tolerance)
            assert codes(volume, "warning")


def judge_blocks(found: Sequence[FoundVolume], truth: Truth) -> None:
    """Assert that the blocks hold all beads among them, each in its place."""
    assert len(found) == truth.blocks
    volumes = [load(volume) for volume in found]
    for value, place in truth.beads[0].items():
        places = [v.geometry.to_patient(at) for v in volumes for at in np.argwhere(v.voxels == value)]
        assert len(places) == 1
        assert place is not None
        assert np.linalg.norm(places[0] - place) < 1e-3


def test_every_row_of_the_catalogue_is_made() -> None:
    assert {int(name.split()[0][1:].rstrip("abcdef")) for name in ROWS} == set(range(1, 79))


def marked(volume: Volume, *indices: tuple[int, int, int]) -> Segmentation:
    """Return labels with single voxels at indices of the stored grid."""
    origin = volume.origin_provenance
    labels = np.zeros(volume.geometry.shape, np.uint8)
    for index in indices:
        place = origin.source_geometry.to_patient(index)
        labels[tuple(np.rint(volume.geometry.to_index(place)).astype(int))] = 1
    return Segmentation(labels, volume.geometry, SegmentTable((Segment(1, "Mark", (255, 0, 0)),)))


@pytest.mark.parametrize(
    "name", ["D60 enhanced", "D61 frames shuffled", "D64a two stacks", "D64b two times", "D17a two time points"]
)
def test_segmentations_of_frames_and_times_return_to_their_place(tmp_path: Path, name: str) -> None:
    truth = ROWS[name].make(tmp_path / "in")
    volume = open_it(tmp_path / "in", truth).at_time(0)
    labels = marked(volume, (3, 4, 5), (17, 2, 1))
    saved = save_dicom_seg(tmp_path / "labels.dcm", labels, volume)
    np.testing.assert_array_equal(load_labels(saved, volume).labels, labels.labels)
    if (frames := volume.origin_provenance.details.get("frames")) is not None:
        assert referenced_frames(saved) == {frames[3] + 1, frames[17] + 1}


def referenced_frames(path: Path) -> set[int]:
    groups = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    return {int(g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber) for g in groups}


def test_labels_on_a_missing_slice_have_no_image_to_refer_to(tmp_path: Path) -> None:
    ROWS["D9 a slice missing"].make(tmp_path / "in")
    volume = open_volume(tmp_path / "in", answers=Answers(on_missing_slice="empty"))
    labels = marked(volume, (6, 4, 5), (8, 4, 5))
    saved = save_dicom_seg(tmp_path / "labels.dcm", labels, volume)
    np.testing.assert_array_equal(load_labels(saved, volume).labels, labels.labels)
    with pytest.raises(RefusedError, match="slice 7 is labelled but its image is missing"):
        save_dicom_seg(tmp_path / "more.dcm", marked(volume, (7, 4, 5)), volume)


@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("D11 spacing changes", {"on_uneven_spacing": "resample"}),
        ("D40 orientation and position missing", {"on_no_geometry": "stack"}),
    ],
)
def test_what_is_not_on_source_slices_is_not_exported_as_if(tmp_path: Path, name: str, answers: dict) -> None:
    ROWS[name].make(tmp_path / "in")
    volume = open_volume(tmp_path / "in", answers=Answers(**answers))
    with pytest.raises(RefusedError) as caught:
        save_dicom_seg(tmp_path / "labels.dcm", marked(volume, (0, 0, 0)), volume)
    assert caught.value.code == "export.no_source_slices"


def test_a_gap_as_wide_as_the_memory_is_not_filled(tmp_path: Path) -> None:
    far = setting_each(lambda k: {"ImagePositionPatient": [0, 0, 3 * k + 900_000 * (k > 9)]})
    write_series(tmp_path, Recipe(shape=(20, 16, 14)).also(far))
    with pytest.raises(RefusedError, match="blocks"):
        open_volume(tmp_path, answers=Answers(on_missing_slice="empty"))
    found = scan(tmp_path, answers=Answers(on_missing_slice="blocks")).found
    assert [load(volume).voxels.shape for volume in found] == [(10, 16, 14)] * 2


def test_the_axis_of_time_says_what_changes(tmp_path: Path) -> None:
    for name, axis in {
        "D17a two time points": TimeAxis("temporal position", "", (1.0, 2.0)),
        "D17b dynamic PET": TimeAxis("time", "ms", (500.0, 1500.0)),
        "D18 interleaved phases": TimeAxis("trigger time", "ms", (0.0, 100.0)),
        "D20 b-values": TimeAxis("b-value", "s/mm²", (0.0, 1000.0)),
    }.items():
        ROWS[name].make(tmp_path / name[:4])
        assert open_volume(tmp_path / name[:4]).time == axis


@pytest.mark.parametrize(
    ("name", "answers", "units", "step"),
    [
        ("D17b dynamic PET", {}, ("mm", "msec"), 1000),
        ("D20 b-values", {}, ("mm", "unknown"), 1),
        ("D40 orientation and position missing", {"on_no_geometry": "stack"}, ("unknown", "unknown"), None),
    ],
)
def test_exports_name_only_the_units_that_are_known(
    tmp_path: Path, name: str, answers: dict, units: tuple[str, str], step: float | None
) -> None:
    ROWS[name].make(tmp_path / "in")
    volume = open_volume(tmp_path / "in", answers=Answers(**answers))
    written = nib.load(save_volume_nifti(tmp_path / "a.nii", volume)).header
    assert written.get_xyzt_units() == units
    if step is not None:
        assert written["pixdim"][4] == step
