"""Headers that are walked over say what pydicom's say, on every row of the catalogue and on files of many makers."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pydicom
import pytest
from dicom_corpus import ROWS
from dicom_factory import Recipe, deleting, setting, setting_each, write_series
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from napari_volseg.formats.dicom import headers, read_file
from napari_volseg.formats.dicom.walker import START_BYTES, Walked, walk


def walked(path: Path) -> Walked | None:
    with path.open("rb") as stream:
        return walk(stream, stream.read(START_BYTES), headers._WALKED)


def by_pydicom(path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    with monkeypatch.context() as patch:
        patch.setattr(headers, "walk", lambda *_: None)
        return read_file(path)


def files_under(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def disagreements(paths: Iterable[Path], monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    return [path for path in paths if read_file(path) != by_pydicom(path, monkeypatch)]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_the_catalogue(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ROWS[name].make(tmp_path)
    assert disagreements(files_under(tmp_path), monkeypatch) == []


def test_the_files_that_come_with_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [path for path in map(Path, get_testdata_files("**/*")) if path.is_file()]
    assert sum(walked(path) is not None for path in paths) > 40
    assert disagreements(paths, monkeypatch) == []


@pytest.mark.real_data
@pytest.mark.parametrize(
    "folder",
    ["dcm_qa_ct", "dcm_qa_decubitus", "dcm_qa_nih", "dcm_qa_ts", "dcm_qa_frag", "dcm_qa_xa30", "dcmqi", "highdicom",
     "totalsegmentator", "ibsi/ibsi_validation/dicom/STS_001"],
)  # fmt: skip
def test_real_files(real_data: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    some = random.Random(5).sample(paths := files_under(real_data / folder), min(40, len(paths)))
    assert disagreements(some, monkeypatch) == []


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_plain_files_are_walked_over(tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = setting(
        PixelPaddingValue=-2000, WindowCenter=[40, -600], WindowWidth=[400, 1500], PatientName="A^B", PatientID="",
        AcquisitionTime="101500.25", EchoTime="1e1", SpacingBetweenSlices=None,
    )  # fmt: skip
    paths = write_series(tmp_path, Recipe(syntax=syntax).also(odd))
    assert all(walked(path) is not None for path in paths)
    assert disagreements(paths, monkeypatch) == []
    (image,) = read_file(paths[2])
    assert (image.padding, image.windows[1][:2], image.echo_time) == (-2000, (-600, 1500), 10)


def nested(depth: int) -> Dataset:
    item = Dataset()
    item.CodeValue = "1"
    item.is_undefined_length_sequence_item = True
    if depth:
        item.ConceptNameCodeSequence = [nested(depth - 1)]
        item["ConceptNameCodeSequence"].is_undefined_length = True
    return item


@pytest.mark.parametrize(("depth", "seen"), [(0, True), (3, True), (30, False)])
def test_sequences_of_undefined_length_are_passed_over(
    tmp_path: Path, depth: int, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(_: int, dataset: Dataset) -> None:
        dataset.ProcedureCodeSequence = [nested(depth), nested(0)]
        dataset["ProcedureCodeSequence"].is_undefined_length = True

    paths = write_series(tmp_path, Recipe().also(edit))
    assert [walked(path) is not None for path in paths] == [seen] * len(paths)
    assert disagreements(paths, monkeypatch) == []


def test_long_headers_are_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(k: int, dataset: Dataset) -> None:
        block = dataset.private_block(0x0019, "TEST", create=True)
        block.add_new(1, "OB", bytes(START_BYTES - 600 + 300 * k))
        block.add_new(2, "OB", bytes(5 * START_BYTES))

    paths = write_series(tmp_path, Recipe().also(edit))
    assert all(walked(path) is not None for path in paths)
    assert disagreements(paths, monkeypatch) == []


@pytest.mark.parametrize("name", ["Grüße", "山田^太郎"])
def test_names_in_other_alphabets(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = setting(SpecificCharacterSet="ISO_IR 192", PatientName=name, SeriesDescription=name)
    paths = write_series(tmp_path, Recipe().also(texts))
    assert all(walked(path) is not None for path in paths)
    assert disagreements(paths, monkeypatch) == []
    assert read_file(paths[0])[0].description == name


def test_what_is_not_plain_is_left_to_pydicom(tmp_path: Path) -> None:
    (big, *_), (deflated, *_) = (
        write_series(tmp_path / syntax, Recipe(syntax=syntax))
        for syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    )
    bare = write_series(tmp_path / "bare")[0]
    bare.write_bytes(bare.read_bytes()[132:])
    long = write_series(tmp_path / "long", Recipe().also(setting(SeriesDescription="x" * 2000)))[0]
    lut = write_series(tmp_path / "lut", Recipe().also(setting(ModalityLUTSequence=[Dataset()])))[0]
    empty = write_series(tmp_path / "empty", Recipe().also(deleting("PixelData")))[0]
    assert [walked(path) for path in (big, deflated, bare, long, lut, empty)] == [None] * 6


def test_of_an_element_that_stands_twice_the_last_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_series(tmp_path, Recipe().also(setting_each(lambda k: {"SeriesNumber": 4})))[0]
    raw = path.read_bytes()
    element = b"\x20\x00\x11\x00IS\x02\x004 "
    path.write_bytes(raw.replace(element, element + element.replace(b"4", b"7"), 1))
    assert read_file(path)[0].series_number == 7
    assert disagreements([path], monkeypatch) == []


def test_damage_is_judged_as_pydicom_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte of a header changed at a time, everywhere: never another reading without pydicom's agreement."""
    path = write_series(tmp_path)[1]
    raw, chance = bytearray(path.read_bytes()), random.Random(11)
    end = raw.index(b"\xe0\x7f\x10\x00") + 12
    for at in range(132, end):
        damaged = raw.copy()
        damaged[at] = chance.choice([damaged[at] ^ 1, damaged[at] ^ 0x80, 0, 0xFF, ord("\\"), ord("9")])
        path.write_bytes(damaged)
        assert disagreements([path], monkeypatch) == [], f"byte {at}"
    assert pydicom.config.settings.reading_validation_mode == pydicom.config.WARN
