"""DICOM series: every oddity either lands in the right place with the right values, or is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_factory import (
    CORONAL,
    SAGITTAL,
    SERIES,
    Recipe,
    deleting,
    make_instance,
    rotated,
    save,
    setting,
    setting_each,
    write_series,
)
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from napari_volseg.core import (
    CancelledError,
    CancelToken,
    DecisionNeededError,
    Progress,
    RefusedError,
    UsageError,
    Volume,
)
from napari_volseg.formats import open_volume, scan

BASE = Recipe()
_TILT = np.tan(np.radians(15)) * 3.0


def bead_error(volume: Volume, recipe: Recipe) -> float:
    """Largest distance, mm, between where a bead is and where the raw tags put it."""
    errors = []
    for value, index in recipe.beads.items():
        seen = np.argwhere(volume.voxels == value)
        assert len(seen) == 1, f"bead {value} is seen {len(seen)} times"
        errors.append(np.linalg.norm(volume.geometry.to_patient(seen[0]) - recipe.place(index)))
    return float(max(errors))


def codes(volume: Volume) -> set[str]:
    assert volume.provenance is not None
    return {finding.code for finding in volume.provenance.findings}


RIGHT = {
    "plain": BASE,
    "descending": BASE.also(step=(0, 0, -3.0)),
    "no SliceLocation": BASE.also(deleting("SliceLocation")),
    "wrong SliceLocation": BASE.also(setting_each(lambda k: {"SliceLocation": -7.0 * k})),
    "reversed InstanceNumber": BASE.also(setting_each(lambda k: {"InstanceNumber": 100 - k})),
    "equal InstanceNumber": BASE.also(setting(InstanceNumber=1)),
    "no InstanceNumber": BASE.also(deleting("InstanceNumber")),
    "acquisition changes": BASE.also(setting_each(lambda k: {"AcquisitionNumber": 1 + k // 3})),
    "coronal": BASE.also(orientation=CORONAL),
    "sagittal": BASE.also(orientation=SAGITTAL),
    "oblique": BASE.also(orientation=rotated(33)),
    "row reversed": BASE.also(orientation=(-1, 0, 0, 0, 1, 0)),
    "column reversed": BASE.also(orientation=(1, 0, 0, 0, -1, 0)),
    "tilted": BASE.also(step=(0, _TILT, 3.0)),
    "tilted the other way": BASE.also(step=(0, -_TILT, 3.0)),
    "tilted and oblique": BASE.also(orientation=rotated(20), step=(0.4, 0.9, 2.8)),
    "feet first prone": BASE.also(setting(PatientPosition="FFP")),
    "implicit": BASE.also(syntax=ImplicitVRLittleEndian),
    "big endian": BASE.also(syntax=ExplicitVRBigEndian),
}


@pytest.mark.parametrize("recipe", RIGHT.values(), ids=RIGHT.keys())
def test_beads_lie_where_the_tags_put_them(tmp_path: Path, recipe: Recipe) -> None:
    write_series(tmp_path, recipe)
    volume = open_volume(tmp_path)
    assert bead_error(volume, recipe) < 1e-3
    assert volume.geometry.axis_codes == "SPL"
    assert volume.voxels.dtype == np.int16
    assert volume.voxels.flags.c_contiguous
    assert (volume.modality, volume.unit) == ("CT", "HU")


def test_provenance_leads_back_to_the_stored_slices(tmp_path: Path) -> None:
    recipe = BASE.also(orientation=SAGITTAL)
    paths = write_series(tmp_path, recipe)
    volume = open_volume(tmp_path)
    origin = volume.origin_provenance
    places = [origin.source_geometry.to_patient((k, 0, 0)) for k in range(recipe.shape[0])]
    for path, place in zip(origin.paths, places, strict=True):
        np.testing.assert_allclose(pydicom.dcmread(path).ImagePositionPatient, place, atol=1e-6)
    assert set(origin.paths) == set(paths)
    assert origin.uids["SeriesInstanceUID"] == SERIES


def test_a_tilt_is_kept_and_told(tmp_path: Path) -> None:
    write_series(tmp_path, RIGHT["tilted"])
    volume = open_volume(tmp_path)
    assert volume.geometry.is_sheared
    assert "dicom.tilted" in codes(volume)


def test_a_single_slice_is_a_volume(tmp_path: Path) -> None:
    write_series(tmp_path, BASE.also(deleting("SliceThickness"), shape=(1, 12, 9)))
    volume = open_volume(tmp_path)
    assert volume.voxels.shape == (1, 12, 9)
    assert "dicom.thickness_unknown" in codes(volume)


def _jitter(size: float) -> Recipe:
    moves = np.random.default_rng(5).normal(0, size, (7, 3))
    return BASE.also(
        setting_each(lambda k: {"ImagePositionPatient": [round(float(v), 9) for v in BASE.position(k) + moves[k]]})
    )


TOLD = {
    "dicom.thickness_differs": BASE.also(setting(SliceThickness=5.0)),
    "dicom.spacing_differs": BASE.also(setting(SpacingBetweenSlices=1.0)),
    "dicom.jitter": _jitter(0.012),
    "dicom.frame_of_reference": BASE.also(setting_each(lambda k: {"FrameOfReferenceUID": f"1.2.{k + 1}"})),
    "dicom.empty_uids": BASE.also(setting(StudyInstanceUID="", SeriesInstanceUID="", SOPInstanceUID="")),
    "dicom.cosines": BASE.also(setting(ImageOrientationPatient=[1.0005, 0, 0, 0, 1, 0])),
    "dicom.orientation_varies": BASE.also(
        setting_each(lambda k: {"ImageOrientationPatient": [1, 5e-4 * (k == 3), 0, -5e-4 * (k == 3), 1, 0]})
    ),
    "dicom.corners_differ": BASE.also(
        setting_each(lambda k: {"ImageOrientationPatient": [1, 9e-4 * (k == 3), 0, -9e-4 * (k == 3), 1, 0]})
    ),
    "dicom.lossy": BASE.also(setting(LossyImageCompression="01")),
    "dicom.burned_in": BASE.also(setting(BurnedInAnnotation="YES")),
}


@pytest.mark.parametrize("code", TOLD)
def test_what_is_repaired_or_assumed_is_told(tmp_path: Path, code: str) -> None:
    write_series(tmp_path, TOLD[code])
    volume = open_volume(tmp_path)
    assert code in codes(volume)
    assert bead_error(volume, BASE) < 0.05


def test_micron_jitter_and_negative_spacing_are_not_worth_a_word(tmp_path: Path) -> None:
    write_series(tmp_path, _jitter(0.003).also(setting(SpacingBetweenSlices=-3.0)))
    assert codes(open_volume(tmp_path)) == set()


REFUSED = {
    "dicom.several_per_position": BASE.also(
        setting_each(lambda k: {"ImagePositionPatient": [-31.5, 12.25, -140.0 + 3 * (k // 2)]}),
        deleting("InstanceNumber"),
        shape=(6, 12, 9),
    ),
    "dicom.not_parallel": BASE.also(
        setting_each(lambda k: {"ImageOrientationPatient": list(np.round(rotated(9.0 * k), 9))})
    ),
    "dicom.no_spacing": BASE.also(deleting("PixelSpacing"), setting(ImagerPixelSpacing=[1.0, 1.0])),
    "dicom.bad_value": BASE.also(setting(PixelSpacing=[0.0, 0.0])),
    "dicom.multiframe": BASE.also(setting_each(lambda k: {"NumberOfFrames": 3, "PixelData": bytes(3 * 12 * 9 * 2)})),
    "dicom.mosaic": BASE.also(setting(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])),
    "dicom.color": BASE.also(setting(PhotometricInterpretation="PALETTE COLOR")),
    "dicom.no_pixels": BASE.also(deleting("PixelData")),
    "dicom.incomplete": BASE.also(setting(Rows=60000)),
    "dicom.segmentation": BASE.also(setting(Modality="SEG")),
    "dicom.not_an_image": BASE.also(setting(Modality="SR")),
}


def one_sentence(error: Exception) -> bool:
    text = str(error)
    return "\n" not in text and 20 < len(text) < 400 and "Traceback" not in text


@pytest.mark.parametrize("code", REFUSED)
def test_what_forms_no_grid_is_refused_by_name(tmp_path: Path, code: str) -> None:
    write_series(tmp_path, REFUSED[code])
    with pytest.raises(RefusedError) as caught:
        open_volume(tmp_path)
    assert caught.value.code == code
    assert one_sentence(caught.value)


def test_images_at_one_position_are_no_volume(tmp_path: Path) -> None:
    write_series(tmp_path, BASE.also(setting(ImagePositionPatient=[0, 0, 0])))
    with pytest.raises(RefusedError, match="same position"):
        open_volume(tmp_path)


@pytest.mark.parametrize("text", ["NaN\\1", "1,5\\1,5", "abc\\1", "1.5"])
def test_a_bad_number_is_shown_as_it_stands(tmp_path: Path, text: str) -> None:
    paths = write_series(tmp_path, BASE.also(setting(PixelSpacing=["7.25", "7.75"])))
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"7.25\\7.75 ", text.encode().ljust(10)))
    with pytest.raises(RefusedError) as caught:
        open_volume(tmp_path)
    assert caught.value.code == "dicom.bad_value"
    assert text in str(caught.value)


def test_a_localizer_within_the_series_is_split_off(tmp_path: Path) -> None:
    write_series(tmp_path)
    localizer = BASE.also(
        setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), orientation=CORONAL, shape=(1, 12, 9)
    )
    write_series(tmp_path / "more", localizer)
    result = scan(tmp_path)
    assert [found.slices for found in result.found] == [7, 1]
    assert all("dicom.split" in {f.code for f in found.findings} for found in result.found)
    with pytest.raises(DecisionNeededError) as caught:
        open_volume(tmp_path)
    assert set(caught.value.choices) == {"1", "2"}
    assert bead_error(open_volume(tmp_path, "1"), BASE) < 1e-3


def test_mixed_series_are_listed_and_each_opens(tmp_path: Path) -> None:
    other = BASE.also(series_uid=SERIES + "9", origin=(5.0, 6.0, 70.0), description="Abdomen")
    write_series(tmp_path, BASE)
    write_series(tmp_path, other)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "Thumbs.db").write_bytes(b"")
    result = scan(tmp_path)
    assert {found.description for found in result.found} == {"Chest", "Abdomen"}
    assert result.skipped == 2
    for found in result.found:
        recipe = BASE if found.description == "Chest" else other
        assert bead_error(open_volume(tmp_path, found.id), recipe) < 1e-3
    with pytest.raises(UsageError, match="choose one of 1, 2"):
        open_volume(tmp_path, "7")


def test_series_without_uids_are_told_apart_by_what_they_are(tmp_path: Path) -> None:
    empty = setting(StudyInstanceUID="", SeriesInstanceUID="", SOPInstanceUID="", SOPClassUID="")
    write_series(tmp_path, BASE.also(empty))
    write_series(tmp_path, BASE.also(empty, series_uid=SERIES + "9", orientation=SAGITTAL))
    assert sorted(found.geometry.axis_codes for found in scan(tmp_path).found) == ["RIP", "SPL"]


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    for k, path in enumerate(write_series(tmp_path)):
        path.rename(tmp_path / f"{k}.img")
    assert bead_error(open_volume(tmp_path), BASE) < 1e-3


def test_echoes_are_split(tmp_path: Path) -> None:
    write_series(tmp_path, BASE.also(setting(EchoTime=5)))
    write_series(tmp_path / "b", BASE.also(setting(EchoTime=10)))
    assert [found.slices for found in scan(tmp_path).found] == [7, 7]


def test_exact_copies_are_left_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    shutil.copy(paths[2], tmp_path / "copy")
    volume = open_volume(tmp_path)
    assert bead_error(volume, BASE) < 1e-3
    assert "dicom.copies" in codes(volume)


def test_slope_and_intercept_of_each_slice_are_its_own(tmp_path: Path) -> None:
    recipe = BASE.also(setting_each(lambda k: {"RescaleSlope": 1 + k / 4, "RescaleIntercept": -0.5 * k}))
    write_series(tmp_path, recipe)
    volume = open_volume(tmp_path)
    per_slice = np.arange(7)[:, None, None]
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(volume.voxels, BASE.stored() * (1 + per_slice / 4) - 0.5 * per_slice, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "signed", "intercept", "dtype"),
    [
        ((0, 4095), 0, -1024, np.int16),
        ((-2000, 3071), 1, -1024, np.int16),
        ((0, 65535), 0, 0, np.uint16),
        ((0, 65535), 0, -1024, np.int32),
    ],
)
def test_integers_stay_in_the_smallest_type_that_holds_them(
    tmp_path: Path, values: tuple[int, int], signed: int, intercept: int, dtype: type
) -> None:
    stored = np.random.default_rng(1).integers(*values, size=(7, 12, 9), endpoint=True)
    stored[0, 0, 0], stored[6, 3, 3] = values
    kind = "<i2" if signed else "<u2"
    write_series(
        tmp_path,
        BASE.also(
            setting_each(lambda k: {"PixelData": stored[k].astype(kind).tobytes(), "PixelRepresentation": signed}),
            intercept=intercept,
        ),
    )
    volume = open_volume(tmp_path)
    assert volume.voxels.dtype == dtype
    np.testing.assert_array_equal(volume.voxels, stored + intercept)


def test_fractions_stored_as_floats_are_kept(tmp_path: Path) -> None:
    stored = (np.random.default_rng(1).random((7, 12, 9)) * 100).astype(np.float32)

    def as_floats(k: int, dataset: pydicom.Dataset) -> None:
        del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
        dataset.BitsAllocated = 32
        dataset.FloatPixelData = stored[k].tobytes()

    write_series(tmp_path, BASE.also(as_floats))
    np.testing.assert_array_equal(open_volume(tmp_path).voxels, stored)


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_those_stored_are_ignored(tmp_path: Path, signed: int) -> None:
    stored = np.random.default_rng(1).integers(-2048 if signed else 0, 2047, size=(7, 12, 9))
    dirty = (stored & 0x0FFF) | 0xA000
    write_series(
        tmp_path,
        BASE.also(
            setting_each(lambda k: {"PixelData": dirty[k].astype("<u2").tobytes()}),
            setting(BitsStored=12, HighBit=11, PixelRepresentation=signed),
        ),
    )
    np.testing.assert_array_equal(open_volume(tmp_path).voxels, stored)


def test_files_without_preamble_open_with_a_note(tmp_path: Path) -> None:
    paths = write_series(tmp_path, BASE.also(syntax=ImplicitVRLittleEndian))
    for path in paths:
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    volume = open_volume(tmp_path)
    assert bead_error(volume, BASE) < 1e-3
    assert "dicom.no_preamble" in codes(volume)


def test_what_only_resembles_a_dataset_is_skipped(tmp_path: Path) -> None:
    write_series(tmp_path)
    (tmp_path / "a").write_bytes(b"\x08\x00\x05\x00CS\x00\x00" + b"\x00" * 300)
    (tmp_path / "b").write_bytes(b"\x02\x00\x00\x00")
    result = scan(tmp_path)
    assert len(result.found) == 1
    assert result.skipped + len(result.refused) == 2


@pytest.mark.parametrize("cut", [100, 3])
def test_cut_pixels_are_refused_by_file(tmp_path: Path, cut: int) -> None:
    paths = write_series(tmp_path)
    paths[6].write_bytes(paths[6].read_bytes()[:-cut])
    refused = scan(tmp_path).refused
    assert [(r.path, r.code) for r in refused] == [(paths[6], "dicom.incomplete")]


def test_a_cut_header_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    paths[6].write_bytes(paths[6].read_bytes()[:-400])
    assert [r.path for r in scan(tmp_path).refused] == [paths[6]]


def test_a_file_that_changes_after_the_scan_is_refused(tmp_path: Path) -> None:
    from napari_volseg.formats import load

    paths = write_series(tmp_path)
    (found,) = scan(tmp_path).found
    other = Recipe(shape=(7, 4, 4))
    save(make_instance(other, 2, np.zeros((4, 4), np.int16)), paths[2])
    with pytest.raises(RefusedError, match=paths[2].name):
        load(found)
    paths[2].unlink()
    with pytest.raises(RefusedError, match=paths[2].name):
        load(found)


def test_a_missing_decoder_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_volseg.formats.dicom import pixels

    class Nothing:
        is_available = False

    paths = write_series(tmp_path)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
        dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
    monkeypatch.setattr(pixels, "get_decoder", lambda uid: Nothing())
    with pytest.raises(RefusedError, match=r"napari-volseg\[codecs\]") as caught:
        open_volume(tmp_path)
    assert caught.value.code == "dicom.no_decoder"


def test_progress_counts_files_and_slices_and_cancel_stops(tmp_path: Path) -> None:
    write_series(tmp_path)
    seen: list[Progress] = []
    open_volume(tmp_path, progress=seen.append)
    assert [(p.done, p.total) for p in seen] == [(n, 7) for n in range(1, 8)] * 2

    token = CancelToken()

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            token.cancel()

    with pytest.raises(CancelledError):
        scan(tmp_path, stop, token)
    token = CancelToken()
    (found,) = scan(tmp_path).found
    from napari_volseg.formats import load

    with pytest.raises(CancelledError):
        load(found, stop, token)


def test_ids_are_stable(tmp_path: Path) -> None:
    for number in range(3):
        write_series(tmp_path / f"s{number}", BASE.also(series_uid=f"{SERIES}{number}", description=f"s{number}"))
    first = [(found.id, found.description) for found in scan(tmp_path).found]
    assert first == [(found.id, found.description) for found in scan(tmp_path).found]
    assert [entry[0] for entry in first] == ["1", "2", "3"]


def test_windows_and_padding_travel_with_the_volume(tmp_path: Path) -> None:
    edit = setting(
        WindowCenter=[40, 300, 5],
        WindowWidth=[300, 0],
        WindowCenterWidthExplanation=["A", "B"],
        PixelPaddingValue=-1000,
    )
    write_series(tmp_path, BASE.also(edit, intercept=-1024))
    details = open_volume(tmp_path).origin_provenance.details
    assert details["windows"] == ((40.0, 300.0, "A"),)
    assert details["padding"] == -2024
