"""PET in SUV: the factor by hand, the traps of times and makers, and what is told where it is not certain."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_factory import Edit, Recipe, deleting, setting, setting_each, write_series
from fuzz_mutations import change_value, change_vr, drop_element, mutated, set_bytes
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from napari_volseg.core import Segment, Segmentation, SegmentTable, VolsegError, Volume
from napari_volseg.formats import Answers, load, load_labels, open_volume, save_dicom_seg, save_volume_nifti, scan
from napari_volseg.formats.dicom import read_file

F18 = 6586.2
WEIGHT, DOSE = 71.7, 3.517e8
#: From injection at 10:05:30 to the scan at 11:05:30.
HOUR = WEIGHT * 1000 / (DOSE * 2 ** (-3600 / F18))
TERMS = {
    "Modality": "PT",
    "Units": "BQML",
    "DecayCorrection": "START",
    "CorrectedImage": ["NORM", "DTIM", "ATTN", "SCAT", "DECY"],
    "PatientWeight": WEIGHT,
    "SeriesDate": "20240229",
    "SeriesTime": "110530",
    "AcquisitionDate": "20240229",
}


def injection(**changes: object) -> list[Dataset]:
    item = Dataset()
    stated = {
        "RadiopharmaceuticalStartTime": "100530.00",
        "RadionuclideTotalDose": DOSE,
        "RadionuclideHalfLife": F18,
        **changes,
    }
    for keyword, value in stated.items():
        if value is not None:
            setattr(item, keyword, value)
    return [item]


def frame(k: int, dataset: Dataset) -> None:
    """A bed position of two minutes for every third slice, the last ones first."""
    minutes = 2 * ((6 - k) // 3)
    dataset.AcquisitionTime = f"11{5 + minutes:02d}30.500000"
    dataset.ActualFrameDuration = 120000
    dataset.FrameReferenceTime = (minutes + 1) * 60_000
    dataset.DecayFactor = 2 ** ((minutes + 1) * 60 / F18)
    dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + k / 8, 0


def pet(*edits: Edit, injected: list[Dataset] | None = None, **terms: object) -> Recipe:
    items = injection() if injected is None else injected
    header = setting(RadiopharmaceuticalInformationSequence=items, **{**TERMS, **terms})
    return Recipe().also(header, frame, *edits)


def opened(folder: Path, recipe: Recipe) -> Volume:
    write_series(folder, recipe)
    return open_volume(folder)


def told(volume: Volume) -> dict[str, tuple[str, str]]:
    return {f.code: (f.severity, f.message) for f in volume.origin_provenance.findings}


def in_file(folder: Path, volume: Volume) -> np.ndarray:
    """Values as the files have them, on the grid of the volume, which is that of axial slices."""
    datasets = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda d: float(d.ImagePositionPatient[2]))
    values = np.stack([d.pixel_array * float(d.RescaleSlope) for d in datasets])
    assert values.shape == volume.voxels.shape
    return values


def assert_suv(folder: Path, volume: Volume, factor: float, rtol: float = 1e-6) -> None:
    assert (volume.quantity, volume.unit) == ("SUV", "g/mL")
    np.testing.assert_allclose(volume.voxels, in_file(folder, volume) * factor, rtol=rtol)
    severity, message = told(volume)["dicom.suv"]
    assert severity == "note"
    assert f"{volume.origin_provenance.details['factor']:.8g}" in message
    assert volume.origin_provenance.details["factor"] == pytest.approx(factor, rel=rtol)


def assert_activity(folder: Path, volume: Volume) -> None:
    assert (volume.quantity, volume.unit) == ("arbitrary", "Bq/mL")
    np.testing.assert_allclose(volume.voxels, in_file(folder, volume), rtol=1e-6)


def later(**values: object) -> Edit:
    """A workstation wrote the series anew, the day after."""
    return setting(SeriesDate="20240301", SeriesTime="081500", **values)


def ge_scan(moment: str, block: int = 0x10) -> Edit:
    def edit(k: int, dataset: Dataset) -> None:
        dataset.add_new((0x0009, block), "LO", "GEMS_PETD_01")
        dataset.add_new((0x0009, block << 8 | 0x0D), "DT", moment)

    return edit


def reference_alone(k: int, dataset: Dataset) -> None:
    del dataset.DecayFactor


def begin_of_frame(k: int, dataset: Dataset) -> None:
    """As GE has it: the first bed's reference is its begin."""
    del dataset.DecayFactor
    dataset.FrameReferenceTime -= 60_000


@pytest.mark.parametrize(
    ("recipe", "factor"),
    [
        (pet(), HOUR),
        (pet(CorrectedImage=["ATTN", "DECAY"]), HOUR),
        (pet(SeriesDate="2024.02.29", SeriesTime="11:05:30"), HOUR),
        (pet(injected=injection(RadiopharmaceuticalStartDateTime="20240229100530.000000")), HOUR),
        (pet(injected=injection(RadiopharmaceuticalStartDateTime="20240229100530+0100"),
             TimezoneOffsetFromUTC="+0100"), HOUR),
        (pet(injected=injection(RadiopharmaceuticalStartDateTime="20240229090530+0000"),
             TimezoneOffsetFromUTC="+0100"), HOUR),
        (pet(injected=injection(RadiopharmaceuticalStartTime="110830")),
         WEIGHT * 1000 / (DOSE * 2 ** (180 / F18))),
        (pet(DecayCorrection="ADMIN", injected=injection(RadiopharmaceuticalStartTime=None),
             SeriesTime=None), WEIGHT * 1000 / DOSE),
        (pet(later(), ge_scan("20240229110530.00")), HOUR),
        (pet(later(), ge_scan("20240229110530.00", block=0x12)), HOUR),
    ],
    ids=["times", "DECAY", "old forms", "date of injection", "zone", "other zone", "injected during the scan",
         "ADMIN", "GE", "GE, block 12"],
)  # fmt: skip
def test_the_factor_is_that_of_the_pseudo_code(tmp_path: Path, recipe: Recipe, factor: float) -> None:
    volume = opened(tmp_path, recipe)
    assert_suv(tmp_path, volume, factor)
    assert not [f for f in volume.origin_provenance.findings if f.severity == "warning"]


@pytest.mark.parametrize(
    ("edits", "rtol"),
    [((later(),), 2e-4), ((later(), reference_alone), 2e-4), ((later(), begin_of_frame), 2e-4),
     ((deleting("SeriesTime"),), 2e-4)],
    ids=["decay factor", "Siemens' reference time", "GE's reference time", "no Series Time"],
)  # fmt: skip
def test_a_series_written_anew_is_dated_by_its_images(tmp_path: Path, edits: tuple[Edit, ...], rtol: float) -> None:
    """The mean of activity lies a little before the middle of a frame, and images begin half a second late."""
    assert_suv(tmp_path, opened(tmp_path, pet(*edits)), HOUR, rtol)


def test_an_injection_before_midnight(tmp_path: Path) -> None:
    def at_night(k: int, dataset: Dataset) -> None:
        dataset.AcquisitionTime = "00" + dataset.AcquisitionTime[2:]

    recipe = pet(
        at_night, SeriesTime="000530", injected=injection(RadiopharmaceuticalStartTime="230530")
    )  # fmt: skip
    assert_suv(tmp_path, opened(tmp_path, recipe), HOUR)


def test_later_beds_alone_are_corrected_to_the_start_of_the_scan(tmp_path: Path) -> None:
    paths = write_series(tmp_path, pet())
    for path in paths[4:]:
        path.unlink()
    assert_suv(tmp_path, open_volume(tmp_path), HOUR)


def philips(suv: object, activity: object, vr: str = "DS", block: int = 0x10) -> Edit:
    def edit(k: int, dataset: Dataset) -> None:
        dataset.Units = "CNTS"
        dataset.add_new((0x7053, block), "LO", "Philips PET Private Group")
        for element, value in ((0x00, suv), (0x09, activity)):
            if value is not None:
                dataset.add_new((0x7053, block << 8 | element), vr, value)

    return edit


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, Recipe().syntax])
def test_counts_of_philips(tmp_path: Path, syntax: str) -> None:
    for name, edit, factor in (
        ("suv", philips("0.000317", "1.25"), 0.000317),
        ("activity", philips(None, "1.25"), 1.25 * HOUR),
        ("zero", philips("0", "1.25"), 1.25 * HOUR),
        ("bytes", philips(b"0.000317", None, "UN"), 0.000317),
        ("block", philips("0.000317", None, block=0x11), 0.000317),
    ):
        folder = tmp_path / name
        volume = opened(folder, pet(edit).also(syntax=syntax))
        assert_suv(folder, volume, factor)
        assert "dicom.quantity_unknown" not in told(volume)


def test_counts_that_are_activity_but_no_suv(tmp_path: Path) -> None:
    volume = opened(tmp_path, pet(philips(None, "1.25"), deleting("PatientWeight")))
    assert (volume.quantity, volume.unit) == ("arbitrary", "Bq/mL")
    np.testing.assert_allclose(volume.voxels, in_file(tmp_path, volume) * 1.25, rtol=1e-6)
    assert "counts × 1.25" in told(volume)["dicom.no_suv"][1]


@pytest.mark.parametrize("edit", [setting(Units="CNTS"), philips("1e300", "-2"), philips("nan", "x", "LO")])
def test_counts_without_a_factor_stay_counts(tmp_path: Path, edit: Edit) -> None:
    volume = opened(tmp_path, pet(edit))
    assert volume.unit == "counts"
    assert "dicom.quantity_unknown" in told(volume)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (pet(deleting("PatientWeight")), "Patient's Weight is absent"),
        (pet(injected=injection(RadionuclideTotalDose=None)), "Radionuclide Total Dose is absent"),
        (pet(injected=injection(RadionuclideHalfLife=None)), "Radionuclide Half Life is absent"),
        (pet(injected=injection(RadiopharmaceuticalStartTime=None)), "Radiopharmaceutical Start Time is absent"),
        (pet(deleting("RadiopharmaceuticalInformationSequence")), "Radionuclide Total Dose is absent"),
        (pet(deleting("AcquisitionTime")), "Acquisition Time is absent"),
        (pet(deleting("DecayCorrection")), "Decay Correction is absent"),
        (pet(DecayCorrection="NONE"), "Decay Correction is NONE"),
        (pet(CorrectedImage=["DECY"]), "attenuation"),
        (pet(injected=injection(RadionuclideHalfLife=282_276.0)), "Start DateTime"),
        (pet(injected=injection(RadiopharmaceuticalStartTime=None,
                                RadiopharmaceuticalStartDateTime="20240229100530-0500")), "Start Time is absent"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(tmp_path: Path, recipe: Recipe, words: str) -> None:
    volume = opened(tmp_path, recipe)
    assert_activity(tmp_path, volume)
    severity, message = told(volume)["dicom.no_suv"]
    assert severity == "note"
    assert words in message


def contradicting(k: int, dataset: Dataset) -> None:
    dataset.DecayFactor = 1.4


def far_from_series_time(k: int, dataset: Dataset) -> None:
    dataset.SeriesTime = "093000"
    del dataset.DecayFactor, dataset.FrameReferenceTime


def nothing_known(k: int, dataset: Dataset) -> None:
    dataset.SeriesTime = "120000"
    del dataset.DecayFactor, dataset.FrameReferenceTime


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (pet(PatientWeight=71700), "Patient's Weight is implausible"),
        (pet(PatientWeight=0), "Patient's Weight is implausible"),
        (pet(injected=injection(RadionuclideTotalDose=351.7)), "Radionuclide Total Dose is implausible"),
        (pet(injected=injection(RadionuclideHalfLife=109.77 / 60)), "Radionuclide Half Life is implausible"),
        (pet(injected=injection(RadiopharmaceuticalStartTime="140000")), "from injection to scan"),
        (pet(injected=injection(RadiopharmaceuticalStartDateTime="20240129100530")), "from injection to scan"),
        (pet(injected=injection(RadiopharmaceuticalStartDateTime="20240229093000")), "contradict each other"),
        (pet(injected=injection() * 2), "several radiopharmaceuticals"),
        (pet(setting_each(lambda k: {"PatientWeight": 70 + (k == 3)})), "disagree"),
        (pet(deleting("PatientWeight", where=lambda k: k == 3)), "disagree"),
        (pet(SeriesTime="103000"), "contradicts"),
        (pet(contradicting), "contradicts"),
        (pet(far_from_series_time), "more than an hour"),
        (pet(nothing_known), "neither"),
        (pet(later(), ge_scan("20240229100000")), "contradicts"),
    ],
)
def test_what_is_implausible_or_contradicts_itself_is_warned_of(tmp_path: Path, recipe: Recipe, words: str) -> None:
    volume = opened(tmp_path, recipe)
    assert_activity(tmp_path, volume)
    severity, message = told(volume)["dicom.no_suv"]
    assert severity == "warning"
    assert words in message


def test_stored_suv_are_what_they_say(tmp_path: Path) -> None:
    for kind, code in (("BW", "dicom.suv"), ("", "dicom.suv"), ("LBM", "dicom.suv_type")):
        folder = tmp_path / (kind or "none")
        volume = opened(folder, pet(Units="GML", SUVType=kind))
        assert (volume.quantity, volume.unit) == ("SUV", "g/mL")
        np.testing.assert_allclose(volume.voxels, in_file(folder, volume), rtol=1e-6)
        assert told(volume)[code][0] == ("note" if code == "dicom.suv" else "warning")


def test_slices_in_different_units_are_no_volume_together(tmp_path: Path) -> None:
    write_series(tmp_path, pet(setting_each(lambda k: {"Units": "CNTS" if k < 3 else "BQML"})))
    assert [(load(found).unit, found.slices) for found in scan(tmp_path).found] == [("g/mL", 4), ("counts", 3)]


def test_windows_and_padding_are_those_of_the_values_shown(tmp_path: Path) -> None:
    volume = opened(tmp_path, pet(PixelPaddingValue=-8, WindowCenter=[20000], WindowWidth=[40000]))
    details = volume.origin_provenance.details
    assert details["windows"] == ((pytest.approx(20000 * HOUR), pytest.approx(40000 * HOUR), "From file"),)
    assert details["padding"] == pytest.approx(-8 * (0.5 + 3 / 8) * HOUR)


def test_exports_hold_what_is_shown_and_segmentations_are_as_ever(tmp_path: Path) -> None:
    volume = opened(tmp_path / "in", pet())
    written = np.asanyarray(nib.load(save_volume_nifti(tmp_path / "a.nii", volume)).dataobj)
    assert np.sort(written, axis=None) == pytest.approx(np.sort(volume.voxels, axis=None), rel=0, abs=0)
    np.testing.assert_allclose(
        volume.voxels / volume.origin_provenance.details["factor"], in_file(tmp_path / "in", volume), rtol=1e-6
    )
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1, 2, 3] = labels[5, 6, 7] = 1
    segmentation = Segmentation(labels, volume.geometry, SegmentTable((Segment(1, "Tumour", (255, 0, 0)),)))
    saved = save_dicom_seg(tmp_path / "a.dcm", segmentation, volume)
    np.testing.assert_array_equal(load_labels(saved, volume).labels, labels)


def test_the_factor_is_applied_once_where_decisions_are_open(tmp_path: Path) -> None:
    paths = write_series(tmp_path, pet())
    paths[3].unlink()
    (listed,) = scan(tmp_path).found
    assert all(image.uptake is None for image in listed.source.images)
    volume = load(listed, answers=Answers(on_missing_slice="empty"))
    (bead,) = volume.voxels[volume.voxels > 0.99 * volume.voxels.max()]
    assert bead == pytest.approx(1002 * (0.5 + 6 / 8) * HOUR)


def leaks(text: str) -> bool:
    text = re.sub(
        r"version=\(\d+, \d+\)| at 0x[0-9a-f]+", "", text
    )  # times of files and places in memory: any digits
    return any(secret in text for secret in ("71.7", "3517", "351.7", "3.517", "100530", "10:05", "6586"))


@pytest.mark.parametrize(
    "change", [lambda: pet(), lambda: pet(SeriesTime="103000"), lambda: pet(PatientWeight=7171.7)]
)
def test_nothing_of_the_patient_is_told_but_the_factor(tmp_path: Path, change: Callable[[], Recipe]) -> None:
    paths = write_series(tmp_path, change())
    assert not any(leaks(repr(read_file(path)).replace(str(path), "")) for path in paths)
    volume = open_volume(tmp_path)
    assert not leaks(repr(volume.origin_provenance.findings) + repr(dict(volume.origin_provenance.details)))


@pytest.mark.parametrize("keyword", ["PatientWeight", "SeriesTime", "AcquisitionTime", "DecayFactor"])
def test_rubbish_is_as_good_as_nothing(tmp_path: Path, keyword: str) -> None:
    marker = {"PatientWeight": "71.7", "SeriesTime": "110530", "AcquisitionTime": "110530", "DecayFactor": "1.01"}
    for path in write_series(tmp_path, pet(setting(**{keyword: marker[keyword]}))):
        content = path.read_bytes()
        tag = pydicom.tag.Tag(keyword)
        at = content.index(tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")) + 8
        path.write_bytes(content[:at] + b"rubbish"[: len(marker[keyword])] + content[at + len(marker[keyword]) :])
    volume = open_volume(tmp_path)
    assert volume.unit in ("Bq/mL", "g/mL")
    assert np.isfinite(volume.voxels).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_headers_are_refused_or_give_finite_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    path = write_series(tmp_path, pet(philips("0.0003", "1.25")).also(shape=(1, 12, 9)))[0]
    content = path.read_bytes()
    kinds = (change_value, change_vr, drop_element, set_bytes)
    for _ in range(150):
        what, damaged = mutated(rng, content, kinds)
        path.write_bytes(damaged)
        try:
            volume = open_volume(path, answers=Answers(on_no_geometry="stack"))
        except VolsegError:
            continue
        assert np.isfinite(volume.voxels).all(), what
