"""Palette colour by its brightness, for viewing only; refused where its tables are no use."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_factory import Edit, Recipe, deleting, setting, write_series
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from napari_volseg.core import RefusedError, Volume
from napari_volseg.formats import Answers, open_volume

SHARES = (0.299, 0.587, 0.114)
_NAMES = ("Red", "Green", "Blue")


def tables(entries: int, first: int, bits: int, stored: str, segmented: bool = False) -> Edit:
    """Random tables; values of the image are indices into them, many of them outside."""
    rng = np.random.default_rng(4)

    def edit(k: int, dataset: Dataset) -> None:
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "PALETTE COLOR", int(first < 0)
        for name, values in zip(_NAMES, rng.integers(0, 2**bits, (3, entries)), strict=True):
            setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [entries % 65536, first, bits])
            content = values.astype(stored).tobytes()
            if segmented:  # one discrete segment
                setattr(
                    dataset, f"Segmented{name}PaletteColorLookupTableData", struct.pack("<HH", 0, entries) + content
                )
            else:
                setattr(dataset, f"{name}PaletteColorLookupTableData", content)

    return edit


def meant(path: Path, stored: str) -> np.ndarray:
    """Brightness (y, x), by plain indexing."""
    dataset = pydicom.dcmread(path)
    entries, first, _ = dataset.RedPaletteColorLookupTableDescriptor
    index = np.clip(dataset.pixel_array.astype(int) - first, 0, (entries or 65536) - 1)
    keyword = "PaletteColorLookupTableData"
    tables = [dataset.get(f"{name}{keyword}") or dataset.get(f"Segmented{name}{keyword}")[4:] for name in _NAMES]
    return np.rint(np.stack([np.frombuffer(table, stored)[index] for table in tables], -1) @ SHARES)


@pytest.mark.parametrize(
    ("entries", "first", "bits", "stored", "segmented"),
    [(256, 0, 8, "u1", False), (256, 200, 8, "<u2", False), (700, 100, 16, "<u2", False),
     (65536, 0, 16, "<u2", False), (700, -50, 16, "<u2", False), (400, 0, 16, "<u2", True)],
)  # fmt: skip
def test_indices_become_brightness(
    tmp_path: Path, entries: int, first: int, bits: int, stored: str, segmented: bool
) -> None:
    paths = write_series(tmp_path, Recipe().also(tables(entries, first, bits, stored, segmented)))
    volume = open_volume(tmp_path)
    np.testing.assert_array_equal(volume.voxels, np.stack([meant(path, stored) for path in paths]))
    assert_view_only(volume)


def assert_view_only(volume: Volume) -> None:
    assert volume.origin_provenance.details["view_only"]
    assert "dicom.color" in {f.code for f in volume.origin_provenance.findings if f.severity == "warning"}


def test_a_compressed_palette(tmp_path: Path) -> None:
    paths = write_series(tmp_path, Recipe().also(tables(256, 0, 16, "<u2")))
    expected = np.stack([meant(path, "<u2") for path in paths])
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    np.testing.assert_array_equal(open_volume(tmp_path).voxels, expected)


def test_a_real_ultrasound_image(tmp_path: Path) -> None:
    path = Path(get_testdata_file("examples_palette.dcm", download=False))
    volume = open_volume(path, answers=Answers(on_no_geometry="stack"))
    assert_view_only(volume)
    np.testing.assert_array_equal(volume.voxels[0], meant(path, "<u2"))


@pytest.mark.parametrize(
    "change",
    [
        deleting("GreenPaletteColorLookupTableDescriptor"),
        setting(BluePaletteColorLookupTableDescriptor=[255, 0, 16]),
        setting(**{f"{name}PaletteColorLookupTableDescriptor": [256, 0, 12] for name in _NAMES}),
    ],
)
def test_descriptors_that_are_no_use_are_refused(tmp_path: Path, change: Edit) -> None:
    write_series(tmp_path, Recipe().also(tables(256, 0, 16, "<u2"), change))
    with pytest.raises(RefusedError, match="palette is missing or damaged") as caught:
        open_volume(tmp_path)
    assert caught.value.code == "dicom.color"


@pytest.mark.parametrize(
    "change",
    [
        deleting("GreenPaletteColorLookupTableData"),
        setting(RedPaletteColorLookupTableData=bytes(100)),
        setting(BluePaletteColorLookupTableData=bytes(100)),
        tables(700, 0, 8, "u1"),
    ],
)
def test_tables_that_are_no_use_are_refused(tmp_path: Path, change: Edit) -> None:
    write_series(tmp_path, Recipe().also(tables(256, 0, 16, "<u2"), change))
    with pytest.raises(RefusedError, match="can't be decoded") as caught:
        open_volume(tmp_path)
    assert caught.value.code == "dicom.damaged"


def test_a_palette_in_big_endian_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, Recipe(syntax=ExplicitVRBigEndian).also(tables(256, 0, 16, "<u2")))
    with pytest.raises(RefusedError, match="big endian"):
        open_volume(tmp_path)


def test_more_pixels_than_can_be_coloured_are_refused(tmp_path: Path) -> None:
    sized = setting(Rows=20000, Columns=20000, BitsAllocated=8, BitsStored=8, HighBit=7)
    write_series(tmp_path, Recipe(shape=(1, 12, 9)).also(tables(256, 0, 16, "<u2"), sized))
    with pytest.raises(RefusedError) as caught:
        open_volume(tmp_path)
    assert caught.value.code == "dicom.incomplete"
