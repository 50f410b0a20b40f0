"""Recipes of the DICOM rows of the catalogue of oddities: each writes files and tells the truth about them."""

from __future__ import annotations

import base64
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_factory import (
    CORONAL,
    FRAME,
    SAGITTAL,
    SERIES,
    Edit,
    Recipe,
    deleting,
    make_instance,
    rotated,
    save,
    setting,
    setting_each,
    write_series,
)
from mosaic_factory import Private, private_of, write_mosaic
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

BASE = Recipe(shape=(20, 16, 14))
#: Added to all values of a second time, echo or stack.
SECOND = 2000

Beads = Mapping[float, np.ndarray | None]


@dataclass(frozen=True)
class Truth:
    """What is true of files that a recipe wrote.

    Parameters
    ----------
    beads
        For each time, value to (x, y, z), mm, LPS; None where the files don't tell a place.
    others
        Volumes beside the one in question, which has at least as many slices as any.
    entry
        What to open, within the folder.
    may_warn
        Warnings that are in order.
    also
        Answers to further questions.
    blocks
        Number of volumes that "blocks" or "split" makes.
    """

    beads: tuple[Beads, ...]
    others: int = 0
    entry: str = "."
    may_warn: frozenset[str] = frozenset()
    also: Mapping[str, str] = field(default_factory=dict)
    blocks: int = 0


def without(truth: Truth, *values: float) -> Truth:
    """Return the truth with fewer beads."""
    beads = tuple({v: p for v, p in beads.items() if v not in values} for beads in truth.beads)
    return replace(truth, beads=beads)


Make = Callable[[Path], Truth]


@dataclass(frozen=True)
class Row:
    """A recipe and what must come of it.

    Parameters
    ----------
    make
        Writes the files into a folder and returns the truth.
    verdict
        "R", "W", "X" or "A".
    code
        Of the finding, the refusal or the question.
    answers
        By keyword of the question: what each answer makes of the truth; None where it makes blocks.
    tolerance
        Of the beads, mm, where the recipe itself moves them.
    """

    make: Make
    verdict: str
    code: str = ""
    answers: Mapping[str, Callable[[Truth], Truth] | None] = field(default_factory=dict)
    tolerance: float = 1e-3


def truth_of(recipe: Recipe, value: Callable[[int, int], float] = lambda value, k: value) -> Truth:
    """Return places and values of a recipe's beads; ``value`` of (stored value, slice) where they are rescaled."""
    return Truth(({value(stored, index[0]): recipe.place(index) for stored, index in recipe.beads.items()},))


def series(*edits: Edit, may_warn: tuple[str, ...] = (), **changes: object) -> Make:
    """Return the recipe of one series."""

    def make(folder: Path) -> Truth:
        recipe = BASE.also(*edits, **changes)
        write_series(folder, recipe)
        return replace(truth_of(recipe), may_warn=frozenset(may_warn))

    return make


def then(make: Make, change: Callable[[list[Path]], object], **told: object) -> Make:
    """Return a recipe that changes the files, in the order of slices, after they were written."""

    def changed(folder: Path) -> Truth:
        truth = make(folder)
        change(_by_slice(folder))
        return replace(truth, **told)  # type: ignore[arg-type]

    return changed


def _by_slice(folder: Path) -> list[Path]:
    names = np.random.default_rng(3).permutation(BASE.shape[0])
    return [next(folder.glob(f"IM{name:04d}_*")) for name in names]


def dropping(*lost: int) -> Make:
    return then(series(), lambda paths: [paths[k].unlink() for k in lost], blocks=len(lost) + 1)


def positions(place: Callable[[int], np.ndarray]) -> Edit:
    return setting_each(lambda k: {"ImagePositionPatient": [round(float(v), 9) for v in place(k)]})


def jittered(size: float) -> Make:
    """Return the recipe of a series whose slices carry their beads along."""
    moves = np.random.default_rng(5).normal(0, size, (20, 3))

    def make(folder: Path) -> Truth:
        write_series(folder, BASE.also(positions(lambda k: BASE.position(k) + moves[k])))
        return Truth(({value: BASE.place(index) + moves[index[0]] for value, index in BASE.beads.items()},))

    return make


def radial(folder: Path) -> Truth:
    """Each slice turned by 9 degrees against the one before."""
    turns = [[round(v, 9) for v in rotated(9.0 * k)] for k in range(BASE.shape[0])]
    write_series(folder, BASE.also(setting_each(lambda k: {"ImageOrientationPatient": turns[k]})))
    beads = {}
    for value, (k, row, column) in BASE.beads.items():
        turned_one = replace(BASE, orientation=tuple(turns[k]), origin=tuple(BASE.position(k)))
        beads[value] = turned_one.place((0, row, column))
    return Truth((beads,))


def turned(by: float) -> Make:
    cosines = setting_each(lambda k: {"ImageOrientationPatient": [1, by * (k == 9), 0, -by * (k == 9), 1, 0]})
    return series(cosines)


def uneven(folder: Path) -> Truth:
    """3 mm apart up to slice 10, 5 mm from there."""

    def place(k: int) -> np.ndarray:
        return BASE.position(0) + np.array([0, 0, 3 * min(k, 10) + 5 * max(0, k - 10)])

    write_series(folder, BASE.also(positions(place)))
    beads = {v: BASE.place(index) - BASE.position(index[0]) + place(index[0]) for v, index in BASE.beads.items()}
    return Truth((beads,), blocks=2)


def brighter(k: int, dataset: Dataset) -> None:
    dataset.PixelData = (np.frombuffer(dataset.PixelData, "<i2") + np.int16(SECOND)).tobytes()


def renamed(start: int) -> Edit:
    """An edit for a second set of images in the same series: numbers and UIDs of their own."""
    return setting_each(lambda k: {"InstanceNumber": start + k, "SOPInstanceUID": f"{SERIES}.{start + k}"})


def twice(**values: tuple[object, object]) -> Make:
    """Return the recipe of two sets of images at the same places that differ in some elements."""

    def make(folder: Path) -> Truth:
        first, second = ({name: pair[n] for name, pair in values.items()} for n in (0, 1))
        # Some readers of several volumes want to know their repetition time.
        write_series(folder, BASE.also(setting(**first, RepetitionTime=1000)))
        write_series(folder / "b", BASE.also(setting(**second, RepetitionTime=1000), renamed(101), brighter))
        (beads,) = truth_of(BASE).beads
        return Truth((beads, {value + SECOND: place for value, place in beads.items()}))

    return make


def split(make: Make) -> Make:
    """Return a recipe whose two sets of images are volumes of their own."""

    def made(folder: Path) -> Truth:
        truth = make(folder)
        return replace(truth, beads=truth.beads[:1], others=1, may_warn=frozenset({"dicom.split"}))

    return made


def phases(folder: Path) -> Truth:
    truth = twice(TriggerTime=(0, 100))(folder)
    for start, part in ((1, folder), (2, folder / "b")):
        for path in part.glob("IM*"):
            dataset = pydicom.dcmread(path)
            dataset.InstanceNumber = start + 2 * int(dataset.SliceLocation // 3)
            dataset.save_as(path)
    return truth


def duplicate(folder: Path) -> Truth:
    write_series(folder, BASE)
    dataset = make_instance(BASE, 1, np.zeros(BASE.shape[1:], np.int16))
    dataset.SOPInstanceUID = SERIES + ".999"
    save(dataset, folder / "ZZ")
    return truth_of(BASE)


def two_series(folder: Path) -> Truth:
    write_series(folder / "b", BASE.also(series_uid=SERIES + "9", origin=(5.0, 6.0, 70.0), shape=(7, 12, 9)))
    return replace(series()(folder), others=1)


def localizer(folder: Path) -> Truth:
    write_series(folder / "b", BASE.also(renamed(101), orientation=CORONAL, shape=(1, 16, 14)))
    return replace(series()(folder), others=1, may_warn=frozenset({"dicom.split"}))


def other_matrix(folder: Path) -> Truth:
    truth = without(series()(folder), 1001)
    dataset = make_instance(BASE, 0, np.zeros((10, 10), np.int16))
    save(dataset, _by_slice(folder)[0])
    return replace(truth, others=1)


def text_in(keyword: str, stood: str, text: str) -> Make:
    """Return a recipe that writes ``text`` over the value ``stood`` of an element."""
    length = len(stood) + len(stood) % 2

    def overwrite(paths: list[Path]) -> None:
        for path in paths:
            path.write_bytes(path.read_bytes().replace(stood.encode().ljust(length), text.encode().ljust(length)))

    return then(series(setting(**{keyword: stood.split("\\")})), overwrite)


def nowhere(*keywords: str, **values: object) -> Make:
    """Return the recipe of a series without geometry, whose beads have no place."""

    def make(folder: Path) -> Truth:
        write_series(folder, BASE.also(deleting(*keywords), setting(**values)))
        return Truth((dict.fromkeys(BASE.beads),))

    return make


def rescaled(slope: Callable[[int], float], intercept: float) -> Make:
    def make(folder: Path) -> Truth:
        write_series(
            folder, BASE.also(setting_each(lambda k: {"RescaleSlope": slope(k), "RescaleIntercept": intercept}))
        )
        return truth_of(BASE, lambda value, k: value * slope(k) + intercept)

    return make


def lookup_table(folder: Path) -> Truth:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [1100, 0, 16], "US"
    table.add_new("LUTData", "OW", np.array([3 * n + 7 for n in range(1100)], "<u2").tobytes())
    write_series(
        folder, BASE.also(setting(ModalityLUTSequence=[table], PixelRepresentation=0), deleting("RescaleSlope"))
    )
    return truth_of(BASE, lambda value, k: 3 * value + 7)


def dirty_bits(signed: int) -> Make:
    def edit(k: int, dataset: Dataset) -> None:
        values = np.frombuffer(dataset.PixelData, "<i2").astype(int) - (600 if signed else 0)
        dataset.PixelData = ((values & 0x0FFF) | 0xA000).astype("<u2").tobytes()
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, signed

    def make(folder: Path) -> Truth:
        write_series(folder, BASE.also(edit))
        return truth_of(BASE, lambda value, k: value - 600 * signed)

    return make


def stored_as(dtype: str, keyword: str) -> Make:
    def edit(k: int, dataset: Dataset) -> None:
        values = np.frombuffer(dataset.PixelData, "<i2").astype(dtype)
        bits = values.itemsize * 8
        del dataset.PixelData
        dataset.BitsAllocated = dataset.BitsStored = bits
        dataset.HighBit = bits - 1
        setattr(dataset, keyword, values.tobytes())
        if keyword != "PixelData":
            del dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation

    return series(edit)


def red_green_blue(folder: Path) -> Truth:
    """Equal red, green and blue: beads 201, 202, … in noise below."""

    def edit(k: int, dataset: Dataset) -> None:
        values = np.frombuffer(dataset.PixelData, "<i2")
        grey = np.where(values > 1000, values - 800, values % 200).astype(np.uint8)
        dataset.PixelData = np.repeat(grey, 3).tobytes()
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0

    write_series(folder, BASE.also(edit))
    return truth_of(BASE, lambda value, k: value - 800)


def palette(folder: Path, entries: int = 1100, first: int = 0) -> Truth:
    """Indices into tables of 16 bits that make red, green and blue of them: twice, once and three times as much."""

    def edit(k: int, dataset: Dataset) -> None:
        index = np.arange(first, first + entries)
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "PALETTE COLOR", 0
        for colour, values in (("Red", index * 2), ("Green", index), ("Blue", index * 3)):
            name = f"{colour}PaletteColorLookupTable"
            setattr(dataset, f"{name}Descriptor", [entries, first, 16])
            setattr(dataset, f"{name}Data", values.astype("<u2").tobytes())

    write_series(folder, BASE.also(edit))
    return truth_of(BASE, lambda value, k: float(np.rint(value * (2 * 0.299 + 0.587 + 3 * 0.114))))


def overlays(k: int, dataset: Dataset) -> None:
    dataset.add_new(0x60000010, "US", 16)
    dataset.add_new(0x60000011, "US", 14)
    dataset.add_new(0x60000040, "CS", "G")
    dataset.add_new(0x60000050, "SS", [1, 1])
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60000102, "US", 0)
    dataset.add_new(0x60003000, "OW", bytes(28))


# -- enhanced multi-frame ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """One frame of an enhanced object: slice, stack, time, and its rescale slope."""

    k: int
    stack: str = "1"
    time: int = 1
    slope: float = 1.0
    add: int = 0


def enhanced(frames: list[Frame], promised: int | None = None) -> Callable[[Path], None]:
    """Return what writes an enhanced CT of the base recipe's slices into a folder."""

    def write(folder: Path) -> None:
        stored = BASE.stored()
        dataset = make_instance(BASE, 0, stored[0])
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
                        "RescaleSlope", "RescaleIntercept", "SliceLocation"):  # fmt: skip
            delattr(dataset, keyword)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        dataset.NumberOfFrames = promised or len(frames)
        dataset.DimensionIndexSequence = [_dimension(0x00209056), _dimension(0x00209057), _dimension(0x00209128)]
        dataset.SharedFunctionalGroupsSequence = [_shared_groups()]
        dataset.PerFrameFunctionalGroupsSequence = [_frame_groups(frame) for frame in frames]
        dataset.PixelData = b"".join((stored[f.k] + np.int16(f.add)).astype("<i2").tobytes() for f in frames)
        folder.mkdir(parents=True, exist_ok=True)
        save(dataset, folder / "enhanced.dcm")

    return write


def _dimension(tag: int) -> Dataset:
    item = Dataset()
    item.DimensionIndexPointer, item.FunctionalGroupPointer = tag, 0x00209111
    return item


def _shared_groups() -> Dataset:
    measures, orientation, groups = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(BASE.pixel_spacing), BASE.gap
    orientation.ImageOrientationPatient = list(BASE.orientation)
    groups.PixelMeasuresSequence, groups.PlaneOrientationSequence = [measures], [orientation]
    return groups


def _frame_groups(frame: Frame) -> Dataset:
    position, content, values, groups = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = [float(v) for v in BASE.position(frame.k)]
    content.StackID, content.InStackPositionNumber = frame.stack, frame.k + 1
    content.TemporalPositionIndex = frame.time
    content.DimensionIndexValues = [int(frame.stack), frame.k + 1, frame.time]
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = frame.slope, 0, "HU"
    groups.PlanePositionSequence, groups.FrameContentSequence = [position], [content]
    groups.PixelValueTransformationSequence = [values]
    return groups


def multiframe(frames: list[Frame], promised: int | None = None, **told: object) -> Make:
    def make(folder: Path) -> Truth:
        enhanced(frames, promised)(folder)
        slopes = {frame.k: frame.slope for frame in frames}
        truth = truth_of(BASE, lambda value, k: value * slopes.get(k, 1.0))
        return replace(truth, **told)  # type: ignore[arg-type]

    return make


ALL = [Frame(k) for k in range(20)]
SHUFFLED = [ALL[k] for k in np.random.default_rng(8).permutation(20)]


def two_times(lost: int | None = None) -> Make:
    frames = [Frame(k, time=t, add=SECOND * (t - 1)) for k in range(20) for t in (2, 1) if (k, t) != (lost, 2)]

    def make(folder: Path) -> Truth:
        enhanced(frames)(folder)
        (beads,) = truth_of(BASE).beads
        return Truth((beads, {value + SECOND: place for value, place in beads.items()}))

    return make


# -- Siemens mosaics -----------------------------------------------------------------------------------------


def mosaic(*times: int, told: Callable[[Recipe], Private | None] = private_of, **changes: object) -> Make:
    """Return the recipe of one mosaic for each number that is added to its values."""

    def make(folder: Path) -> Truth:
        recipe = BASE.also(**changes)
        for number, add in enumerate(times, 1):
            write_mosaic(folder, recipe, told(recipe), add=add, number=number)
        (beads,) = truth_of(recipe).beads
        truth = Truth(tuple({value + add: place for value, place in beads.items()} for add in times))
        return replace(truth, may_warn=frozenset({"dicom.time_assumed"} if len(times) > 1 else ()))

    return make


# -- containers ----------------------------------------------------------------------------------------------


def bare(paths: list[Path]) -> None:
    for path in paths:
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)


def compressed(syntax: str) -> Make:
    """Return the recipe of a series that pydicom compressed; its matrix is one that JPEG 2000 can halve."""

    def compress(paths: list[Path]) -> None:
        for path in paths:
            dataset = pydicom.dcmread(path)
            try:
                dataset.compress(syntax, generate_instance_uid=False)
            except (RuntimeError, NotImplementedError) as error:
                pytest.skip(f"no encoder: {error}")
            dataset.save_as(path)

    return then(series(shape=(20, 64, 64)), compress)


#: The stored values of the single slice of shape (1, 16, 14) as a reversible codestream of High-Throughput JPEG 2000,
#: made with OpenJPH 0.26, since no encoder is among the packages that tests need.
_HIGH_THROUGHPUT = base64.b64decode(
    "/0//UQApQAAAAAAOAAAAEAAAAAAAAAAAAAAADgAAABAAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQ"
    "kJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAZ0AAf+TwAAmSP4CB3QAAMAAEsAAEsAAEwANAYd0AN0B"
    "B3QAav4CB3QAwAAVEAAFRAABUIk3ZjEAYpQAZWgjOQDDNAD78f19AGOUAMAAFqwAAWxAABaoZrQBaiNw3Ya8fSeT+ADzRCIA+LgAMf5h"
    "Y6v4tTHUePa39TGhxPIzg4RAAzcAzMnd/kGhKpZw41nS5gFJwhCAvZgAwAAvT4AAXpsAAL1Q66L5iPIhejMxo8V9eyvl7GLlLXpkqs0v"
    "+mJJIwdJssqChPFjCFLL51NooO5AmYM9oksAPOWmBT+x/AAkxoYbmDkYWX/KOpEABesEQEM1AQE/go4uP/6O2dhqFA5J1GFp/ZY8LOOv"
    "ZokBCD0hic4LQES48lqoqkvTYQHdp8RiucueK9CcM0cnxArUAFz2lT581cdwiEKA+IQwApIBOYyKrGJ5PfemLVcKCBFEbgeIowX/bYRK"
    "oxS9puYStaGPnRg44H6slDWCgvSj+gB2PHNU5DvEk1z9iHz7G6r85wA8xcuPlNTAaXCvUhGBvgIgMZQB/9k="
)


def high_throughput(syntax: str) -> Make:
    """Return the recipe of a slice in High-Throughput JPEG 2000."""

    def swap(paths: list[Path]) -> None:
        (path,) = paths
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        dataset.PixelData = pydicom.encaps.encapsulate([_HIGH_THROUGHPUT])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path)

    def make(folder: Path) -> Truth:
        pytest.importorskip("openjpeg")
        recipe = BASE.also(shape=(1, 16, 14))
        swap(write_series(folder, recipe))
        return truth_of(recipe)

    return make


def jpeg_lossless(paths: list[Path], process: str = "JPEGLosslessProcess14_1") -> None:
    gdcm = pytest.importorskip("gdcm")
    for path in paths:
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, process)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        dataset = pydicom.dcmread(path)
        del dataset.StudyTime  # gdcm's own: the time of writing, another one in each file
        dataset.save_as(path)


def relabelled(syntax: str) -> Make:
    """Return a recipe of encapsulated rubbish under a transfer syntax."""

    def relabel(paths: list[Path]) -> None:
        for path in paths:
            dataset = pydicom.dcmread(path)
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
            dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
            dataset["PixelData"].is_undefined_length = True
            dataset.save_as(path)

    return then(series(), relabel)


def huge_and_compressed(folder: Path) -> Truth:
    truth = relabelled(RLELossless)(folder)
    for path in _by_slice(folder):
        dataset = pydicom.dcmread(path)
        dataset.Rows = dataset.Columns = 60000
        dataset.save_as(path)
    return truth


def inflating(folder: Path) -> Truth:
    """A deflated file of 300 KiB that inflates to 300 MiB."""
    path = write_series(folder, BASE.also(shape=(1, 16, 14), syntax=DeflatedExplicitVRLittleEndian))[0]
    content = path.read_bytes()
    start = content.index(b"1.2.840.10008.1.2.1.99") + 22
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(2**20)
    body = b"".join(deflater.compress(zeros) for _ in range(300)) + deflater.flush()
    path.write_bytes(content[:start] + body)
    return truth_of(BASE)


def cut(*slices: int) -> Callable[[list[Path]], None]:
    def change(paths: list[Path]) -> None:
        for k in slices:
            paths[k].write_bytes(paths[k].read_bytes()[:-40])

    return change


def other_files(folder: Path) -> Truth:
    truth = series()(folder)
    for name, content in (
        ("Thumbs.db", b"\xd0\xcf"),
        (".DS_Store", b"\0\0\0\1Bud1"),
        ("empty", b""),
        ("a.txt", b"hi"),
    ):
        (folder / name).write_bytes(content)
    return truth


def nested(folder: Path) -> Truth:
    truth = series()(folder)
    for number, path in enumerate(_by_slice(folder)):
        below = folder / f"a{number % 3}" / f"b{number % 2}"
        below.mkdir(parents=True, exist_ok=True)
        path.rename(below / path.name)
    os.symlink(folder, folder / "a0" / "loop", target_is_directory=True)
    return truth


def medium(folder: Path) -> Truth:
    write_series(folder / "loose", BASE)
    files = FileSet()
    for path in sorted((folder / "loose").iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.PatientName = "1", "A"
        dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "12", "1", "1"
        files.add(dataset)
    files.write(folder / "medium")
    shutil.rmtree(folder / "loose")
    return replace(truth_of(BASE), entry="medium/DICOMDIR")


def leading_outside(folder: Path) -> Truth:
    truth = medium(folder)
    path = folder / truth.entry
    dataset = pydicom.dcmread(path)
    assert dataset.file_meta.MediaStorageSOPClassUID == MediaStorageDirectoryStorage
    for record in dataset.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = ["..", "outside"]
    dataset.save_as(path)
    write_series(folder / "outside", BASE)
    return truth


def deep(folder: Path) -> Truth:
    """Sequences in sequences, 3,000 deep."""
    recipe = BASE.also(shape=(1, 16, 14))
    write_series(folder, recipe)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    ends = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    at = content.index(b"\x10\x00\x10\x00") if b"\x10\x00\x10\x00" in content else content.index(b"\x18\x00\x50\x00")
    path.write_bytes(content[:at] + sequence * 3000 + ends * 3000 + content[at:])
    return truth_of(recipe)


def preamble(magic: bytes) -> Callable[[list[Path]], None]:
    def change(paths: list[Path]) -> None:
        for path in paths:
            path.write_bytes(magic + path.read_bytes()[len(magic) :])

    return change


def two_patients(folder: Path) -> Truth:
    write_series(folder, BASE.also(setting_each(lambda k: {"PatientID": "A" if k < 12 else "B"})))
    return replace(truth_of(BASE), blocks=2)


TILT = 3.0 * np.tan(np.radians([0.5, 2, 15, 20]))

RIGHT: dict[str, Make] = {
    "D1 names in random order": series(),
    "D2 no SliceLocation": series(deleting("SliceLocation")),
    "D3 SliceLocation negated": series(setting_each(lambda k: {"SliceLocation": -3.0 * k})),
    "D4 descending": series(step=(0, 0, -3.0)),
    "D5 InstanceNumber reversed": series(setting_each(lambda k: {"InstanceNumber": 20 - k})),
    "D6 InstanceNumber random": series(
        setting_each(lambda k: {"InstanceNumber": int(np.random.default_rng(1).permutation(20)[k])})
    ),
    "D7 InstanceNumber identical": series(setting(InstanceNumber=1)),
    "D8 InstanceNumber missing": series(deleting("InstanceNumber")),
    "D14 two series": two_series,
    "D15 localizer inside": localizer,
    "D17a two time points": twice(TemporalPositionIdentifier=(1, 2)),
    "D18 interleaved phases": phases,
    "D19 two echoes": split(twice(EchoTime=(5, 10))),
    "D20 b-values": twice(DiffusionBValue=(0.0, 1000.0)),
    "D17b dynamic PET": twice(FrameReferenceTime=(500.0, 1500.0)),
    "D23 single slice": series(shape=(1, 16, 14)),
    "D24 acquisition number changes": series(setting_each(lambda k: {"AcquisitionNumber": 1 + k // 10})),
    "D25a orientation varies by 5e-5": turned(5e-5),
    "D28 non-square pixels": series(pixel_spacing=(2.5, 1.0)),
    "D29a coronal": series(orientation=CORONAL),
    "D29b sagittal": series(orientation=SAGITTAL),
    "D29c oblique": series(orientation=rotated(33)),
    "D30 column cosine negated": series(orientation=(1, 0, 0, 0, -1, 0)),
    "D31 row cosine negated": series(orientation=(-1, 0, 0, 0, 1, 0)),
    "D35 SpacingBetweenSlices negative": series(setting(SpacingBetweenSlices=-3.0)),
    "D42 feet first prone": series(setting(PatientPosition="FFP")),
    "D46 slope differs per slice": rescaled(lambda k: 1 + k / 4, 0),
    "D47 fractional slope and intercept": rescaled(lambda k: 0.5, -1024.5),
    "D49 rubbish above 12 bits": dirty_bits(0),
    "D50 signed 12 bits": dirty_bits(1),
    "D51 padding": series(setting(PixelPaddingValue=-2000)),
    "D55a 32-bit integers": stored_as("<i4", "PixelData"),
    "D55b floats": stored_as("<f4", "FloatPixelData"),
    "D55c doubles": stored_as("<f8", "DoubleFloatPixelData"),
    "D57a two windows": series(setting(WindowCenter=[40, 300], WindowWidth=[400, 1500])),
    "D59a PET in Bq/mL": series(setting(Modality="PT", Units="BQML")),
    "D60 enhanced": multiframe(ALL),
    "D61 frames shuffled": multiframe(SHUFFLED),
    "D62 slope per frame": multiframe([Frame(k, slope=1 + k / 4) for k in range(20)]),
    "D64a two stacks": multiframe(
        [*ALL, *(Frame(k, stack="2", add=SECOND) for k in range(15))],
        others=1,
        may_warn=frozenset({"dicom.split"}),
    ),
    "D64b two times": two_times(),
    "D65 big endian": series(syntax=ExplicitVRBigEndian),
    "D66 implicit": series(syntax=ImplicitVRLittleEndian),
    "D68a deflated": series(syntax=DeflatedExplicitVRLittleEndian),
    "D69a RLE": compressed(RLELossless),
    "D69b JPEG 2000": compressed(JPEG2000Lossless),
    "D69c JPEG-LS": compressed(JPEGLSLossless),
    "D69f JPEG lossless": then(series(), jpeg_lossless),
    "D69fa JPEG lossless, any predictor": then(
        series(), lambda paths: jpeg_lossless(paths, "JPEGLosslessProcess14")
    ),
    "D69fb HTJ2K": high_throughput("1.2.840.10008.1.2.4.201"),
    "D69fc HTJ2K by resolution": high_throughput("1.2.840.10008.1.2.4.202"),
    "D72 other files": other_files,
    "D73 nested folders": nested,
    "D74a DICOMDIR": medium,
    "D77a UTF-8": series(setting(SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎", PatientID="7")),
    "D77b ISO 2022": series(
        setting(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎", PatientID="7")
    ),
}  # fmt: skip

#: Right, with a note.
NOTED: dict[str, tuple[Make, str]] = {
    "D13 exact copy": (
        then(series(), lambda paths: shutil.copy(paths[2], paths[2].with_name("copy"))),
        "dicom.copies",
    ),
    "D21a mosaic": (mosaic(0), "dicom.mosaic"),
    "D21b mosaic against the normal": (mosaic(0, step=(0, 0, -3.0)), "dicom.mosaic"),
    "D21c oblique mosaics over time": (mosaic(0, SECOND, orientation=rotated(33)), "dicom.mosaic"),
    "D48 modality LUT": (lookup_table, "dicom.modality_lut"),
    "D52 MONOCHROME1": (series(setting(PhotometricInterpretation="MONOCHROME1")), "dicom.monochrome1"),
    "D57b unequal windows": (
        series(setting(WindowCenter=[40, 300, 5], WindowWidth=[400, 0])),
        "dicom.window_ignored",
    ),
    "D58a overlay planes": (series(overlays), "dicom.overlays"),
    "D67 no preamble": (then(series(), bare), "dicom.no_preamble"),
}

WARNED: dict[str, tuple[Make, str]] = {
    "D16 another matrix": (other_matrix, "dicom.split"),
    "D23b thickness absent": (series(deleting("SliceThickness"), shape=(1, 16, 14)), "dicom.thickness_unknown"),
    "D25b orientation varies by 5e-4": (turned(5e-4), "dicom.orientation_varies"),
    "D27 frames of reference": (
        series(setting_each(lambda k: {"FrameOfReferenceUID": f"{FRAME}.{k}"})), "dicom.frame_of_reference"
    ),
    "D32a tilt of 15°": (series(step=(0, TILT[2], 3.0)), "dicom.tilted"),
    "D32b tilt of -20°": (series(step=(0, -TILT[3], 3.0)), "dicom.tilted"),
    "D32c tilted slices, table along z": (
        series(orientation=rotated(15, (1, 0, 0)), step=(0, 0, 3.0)), "dicom.tilted"
    ),
    "D33a tilt of 2°": (series(step=(0, TILT[1], 3.0)), "dicom.tilted"),
    "D33b tilt of -0.5°": (series(step=(0, -TILT[0], 3.0)), "dicom.tilted"),
    "D34a SliceThickness wrong": (series(setting(SliceThickness=5.0)), "dicom.thickness_differs"),
    "D34b SpacingBetweenSlices wrong": (series(setting(SpacingBetweenSlices=1.0)), "dicom.spacing_differs"),
    "D36a spacing at the detector": (
        series(setting(Modality="XA", ImagerPixelSpacing=list(BASE.pixel_spacing)), deleting("PixelSpacing")),
        "dicom.at_detector",
    ),
    "D43 quadruped": (series(setting(AnatomicalOrientationType="QUADRUPED")), "dicom.quadruped"),
    "D44a cosines of length 1.0005": (
        series(setting(ImageOrientationPatient=[1.0005, 0, 0, 0, 1, 0])), "dicom.cosines"
    ),
    "D53 RGB": (red_green_blue, "dicom.color"),
    "D54b palette": (palette, "dicom.color"),
    "D54c palette from 400 on": (lambda folder: palette(folder, 700, 400), "dicom.color"),
    "D58b text burned in": (series(setting(BurnedInAnnotation="YES")), "dicom.burned_in"),
    "D58c ultrasound": (series(setting(Modality="US")), "dicom.may_show_text"),
    "D59b PET counts": (series(setting(Modality="PT", Units="CNTS")), "dicom.quantity_unknown"),
    "D69d lossy": (series(setting(LossyImageCompression="01")), "dicom.lossy"),
    "D70a last file truncated": (
        then(lambda folder: without(series()(folder), 1002), cut(19)), "dicom.left_out"
    ),
    "D76a Windows program in the preamble": (then(series(), preamble(b"MZ")), "dicom.executable_preamble"),
    "D76b Linux program in the preamble": (then(series(), preamble(b"\x7fELF")), "dicom.executable_preamble"),
}  # fmt: skip

REFUSED: dict[str, tuple[Make, str]] = {
    "D21d mosaic without private headers": (mosaic(0, told=lambda recipe: None), "dicom.mosaic"),
    "D22 radial": (radial, "dicom.not_parallel"),
    "D25c orientation varies by 5e-3": (turned(5e-3), "dicom.orientation_varies"),
    "D36b no Pixel Spacing in CT": (
        series(deleting("PixelSpacing"), setting(ImagerPixelSpacing=[1.0, 1.0])), "dicom.no_spacing"
    ),
    "D37 Pixel Spacing zero": (series(setting(PixelSpacing=[0.0, 0.0])), "dicom.bad_value"),
    **{
        f"D38{letter} Pixel Spacing {text}": (text_in("PixelSpacing", "7.25\\7.75", text), "dicom.bad_value")
        for letter, text in zip("abcde", ("NaN\\1", "inf\\1", "abc\\1", "1.5", "1,5\\1,5"), strict=True)
    },
    "D44b cosines of length 1.01": (
        series(setting(ImageOrientationPatient=[1.01, 0, 0, 0, 1, 0])), "dicom.bad_value"
    ),
    "D44c cosines not orthogonal": (
        series(setting(ImageOrientationPatient=[1, 0, 0, 0.01, 0.99995, 0])), "dicom.bad_value"
    ),
    "D26c positions jitter by up to 0.15 mm": (jittered(0.05), "dicom.uneven_spacing"),
    "D54a palette without tables": (series(setting(PhotometricInterpretation="PALETTE COLOR")), "dicom.color"),
    "D56 one bit": (series(setting(BitsAllocated=1, BitsStored=1, HighBit=0)), "dicom.one_bit"),
    "D68b deflated bomb": (inflating, "dicom.too_large"),
    "D69e no decoder": (relabelled("1.2.840.10008.1.2.4.100"), "dicom.no_decoder"),
    "D70c all truncated": (then(series(), cut(*range(20))), "dicom.incomplete"),
    "D71a Rows 60000": (series(setting(Rows=60000)), "dicom.incomplete"),
    "D71b a million frames": (multiframe(ALL, promised=1_000_000), "dicom.incomplete"),
    "D71c 60000 by 60000 compressed": (huge_and_compressed, "dicom.incomplete"),
    "D74b DICOMDIR leading outside": (leading_outside, "dicom.directory_outside"),
    "D75 very deep sequences": (deep, "dicom.damaged"),
}  # fmt: skip


def same(truth: Truth) -> Truth:
    return truth


ASKED: dict[str, Row] = {
    "D9 a slice missing": Row(dropping(7), "A", "dicom.missing_slices", {"empty": same, "blocks": None}),
    "D10 two slices missing": Row(dropping(7, 12), "A", "dicom.missing_slices", {"empty": same, "blocks": None}),
    "D11 spacing changes": Row(
        uneven, "A", "dicom.uneven_spacing", {"resample": lambda truth: without(truth, 1005), "blocks": None}
    ),
    "D12 same position twice": Row(
        duplicate, "A", "dicom.duplicate_position", {"first": same, "last": lambda truth: without(truth, 1003)}
    ),
    "D39 orientation missing": Row(
        nowhere("ImageOrientationPatient"), "A", "dicom.no_orientation", {"stack": same}
    ),
    "D40 orientation and position missing": Row(
        nowhere("ImageOrientationPatient", "ImagePositionPatient"), "A", "dicom.no_orientation", {"stack": same}
    ),
    "D41 one position missing": Row(
        then(
            series(deleting("ImagePositionPatient", where=lambda k: k == 7)), list, also={"on_missing_slice": "empty"}
        ),
        "A", "dicom.no_position", {"leave_out": same},
    ),
    "D45 no physical size": Row(
        nowhere("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", Modality="US",
                SOPClassUID=SecondaryCaptureImageStorage),
        "A", "dicom.no_orientation", {"stack": same},
    ),
    "D63a a frame missing": Row(
        multiframe([f for f in ALL if f.k != 7], blocks=2),
        "A", "dicom.missing_slices", {"empty": same, "blocks": None},
    ),
    "D63b a frame of one time missing": Row(two_times(lost=7), "A", "dicom.missing_slices", {"empty": same}),
    "D70b a file truncated": Row(
        then(series(), cut(7), blocks=2), "A", "dicom.missing_slices", {"empty": same, "blocks": None}
    ),
    "D78 two patients": Row(two_patients, "A", "dicom.mixed_series", {"together": same, "split": None}),
}  # fmt: skip

#: Beads of slices that jitter lie beside the even grid.
JITTERED: dict[str, Row] = {
    "D26a positions jitter by 4 µm": Row(jittered(0.004), "R", tolerance=0.03),
    "D26b positions jitter by 20 µm": Row(jittered(0.02), "W", "dicom.jitter", tolerance=0.1),
}

ROWS: dict[str, Row] = {
    **{name: Row(make, "R") for name, make in RIGHT.items()},
    **{name: Row(make, "R", code) for name, (make, code) in NOTED.items()},
    **{name: Row(make, "W", code) for name, (make, code) in WARNED.items()},
    **{name: Row(make, "X", code) for name, (make, code) in REFUSED.items()},
    **ASKED,
    **JITTERED,
}
