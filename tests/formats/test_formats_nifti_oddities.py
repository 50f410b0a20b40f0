"""The catalogue of NIfTI and Analyze oddities (N1 to N44), each file generated from its recipe.

A file that opens puts every bead within 1e-3 mm of where it was meant, with its exact value, and tells what the row
demands; a file that doesn't is refused by a code, or asks.
"""

from __future__ import annotations

import gzip
import itertools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.core import (
    DecisionNeededError,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    VolsegError,
    Volume,
)
from napari_volseg.formats import load_labels, open_volume, save_labels_nifti, save_volume_nifti, scan
from napari_volseg.measure import segment_statistics
from napari_volseg.spatial import apply_reorientation, invert_reorientation

SHAPE = (9, 8, 7)
#: Chiral: no flip or permutation of the axes maps the beads onto each other.
BEADS = {(1, 1, 1): 40, (7, 2, 1): 70, (2, 6, 3): 100, (5, 3, 6): 120}
AFFINE = np.array([[-0.8, 0, 0, 33], [0, 1.2, 0, -20], [0, 0, 2.5, 100], [0, 0, 0, 1.0]])
MIRROR = np.diag([-1.0, 1, 1, 1]) @ AFFINE
MOVED = AFFINE + np.array([[0, 0, 0, 10.0], [0] * 4, [0] * 4, [0] * 4])
TO_LPS = np.diag([-1.0, -1.0, 1.0])
SINGLE, PAIR = ("a.nii",), ("a.img",)


def sheared(amount: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 2] += amount * 2.5
    return affine


def turned(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]]) @ AFFINE


def beads(dtype: Any = np.int16, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    data = np.zeros(shape, dtype)
    for (i, j, k), value in BEADS.items():
        data[(i, j, k, ...) if len(shape) > 2 else (i, j)] = value
    return data


@dataclass(frozen=True)
class Recipe:
    """How a file is made: by nibabel, then by header fields past its checks, then by changing its bytes."""

    data: Callable[[], np.ndarray] = beads
    affine: np.ndarray = field(default_factory=lambda: AFFINE)
    sform: int = 1
    qform: int = 0
    q_affine: np.ndarray | None = None
    kind: type = nib.Nifti1Image
    name: str = "a.nii"
    fields: Mapping[str, Any] = field(default_factory=dict)
    after: Callable[[Path], Path | None] = lambda path: None
    big_endian: bool = False
    dtype: Any = None

    def write(self, folder: Path) -> Path:
        data = self.data()
        header = self.kind.header_class(endianness=">" if self.big_endian else "<")
        header.set_data_dtype(self.dtype or data.dtype)
        image = self.kind(data, self.affine, header, dtype=self.dtype or data.dtype)
        if self.kind is not nib.AnalyzeImage:
            image.set_sform(self.affine, code=self.sform)
            image.set_qform(self.affine if self.q_affine is None else self.q_affine, code=self.qform)
            image.header.set_xyzt_units("mm", "sec")
        path = folder / self.name
        nib.save(image, path)
        head = path.with_suffix(".hdr") if path.suffix == ".img" else path
        self._patch(head)
        return self.after(path) or path

    def _patch(self, path: Path) -> None:
        if not self.fields:
            return
        raw = bytearray(path.read_bytes())
        kind = self.kind.header_class
        header = kind(bytes(raw[: kind.sizeof_hdr]), check=False)
        for name, value in self.fields.items():
            header[name] = value
        raw[: kind.sizeof_hdr] = header.binaryblock
        path.write_bytes(raw)


def cut(count: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[:-count]) and None


def renamed(name: str, change: Callable[[bytes], bytes] = bytes) -> Callable[[Path], Path]:
    def apply(path: Path) -> Path:
        target = path.with_name(name)
        content = change(path.read_bytes())
        path.unlink()
        target.write_bytes(content)
        return target

    return apply


def wrong_checksum(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF
    path.write_bytes(raw)


def without_image(path: Path) -> Path:
    path.unlink()
    return path.with_suffix(".hdr")


def with_dicom_extension(path: Path) -> None:
    image = nib.load(path)
    data = np.asanyarray(image.dataobj).copy()
    image.header.extensions.append(nib.nifti1.Nifti1Extension(2, b"\x10\x00\x10\x00PN\x08\x00Doe^Jane"))
    nib.save(nib.Nifti1Image(data, None, image.header), path)


def pixdim(*spacing: float, qfac: float = 1) -> dict[str, Any]:
    return {"pixdim": [qfac, *spacing, 1, 1, 1, 1]}


NOISE = np.random.default_rng(0).integers(0, 30, SHAPE).astype(np.int16)


def noisy() -> np.ndarray:
    return np.where(beads() > 0, beads(), NOISE)


# -- R and W: opens in the right place with exact values ----------------------------------------------------------


@dataclass(frozen=True)
class Opens:
    """What is told (codes; "" separates none), where and what the beads then are, and the answers that are needed."""

    recipe: Recipe
    warns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    affine: np.ndarray = field(default_factory=lambda: AFFINE)
    scale: float = 1
    offset: float = 0


def zoomed(factor: float) -> np.ndarray:
    return np.diag([factor, factor, factor, 1]) @ AFFINE


OPENS: dict[str, Opens] = {
    "N1-sform": Opens(Recipe()),
    "N1-qform": Opens(Recipe(sform=0, qform=1)),
    "N5": Opens(Recipe(sform=0, qform=1)),
    "N5-right-handed": Opens(Recipe(affine=MIRROR, sform=0, qform=1), affine=MIRROR),
    "N6-0": Opens(Recipe(affine=MIRROR, sform=0, qform=1, fields=pixdim(0.8, 1.2, 2.5, qfac=0)), affine=MIRROR),
    "N6-3": Opens(
        Recipe(affine=MIRROR, sform=0, qform=1, fields=pixdim(0.8, 1.2, 2.5, qfac=3)), ("nifti.qfac",), affine=MIRROR
    ),
    "N7-qform": Opens(Recipe(sform=0, qform=1, fields=pixdim(-0.8, 1.2, 2.5, qfac=-1)), ("nifti.negative_spacing",)),
    "N7-sform": Opens(Recipe(fields=pixdim(-0.8, 1.2, 2.5)), ("nifti.negative_spacing",)),
    "N8-sform": Opens(Recipe(fields=pixdim(0, 1.2, 2.5)), ("nifti.spacing_differs",)),
    "N8-both": Opens(Recipe(qform=1, fields=pixdim(0, 1.2, 2.5)), ("nifti.spacing_differs", "nifti.qform_unusable")),
    "N9": Opens(Recipe(fields=pixdim(1, 1, 1)), ("nifti.spacing_differs",)),
    "N10": Opens(Recipe(affine=sheared(0.8)), affine=sheared(0.8)),
    "N11": Opens(Recipe(affine=sheared(1e-3)), affine=sheared(1e-3)),
    "N12": Opens(Recipe(affine=turned(25), qform=1), affine=turned(25)),
    "N16": Opens(Recipe(affine=turned(179.97), qform=1), affine=turned(179.97)),
    "N17": Opens(Recipe(fields={"scl_slope": 0, "scl_inter": 7})),
    "N18-nan": Opens(Recipe(fields={"scl_slope": np.nan, "scl_inter": 7})),
    "N18-inf": Opens(Recipe(fields={"scl_slope": np.inf, "scl_inter": 0}), ("nifti.scaling",)),
    "N19": Opens(Recipe(fields={"scl_slope": 1, "scl_inter": np.nan}), ("nifti.scaling",)),
    "N20-image": Opens(Recipe(fields={"scl_slope": 2, "scl_inter": -1}), scale=2, offset=-1),
    "N21-one-volume": Opens(Recipe(lambda: beads(shape=(*SHAPE, 1)))),
    "N21-5D": Opens(Recipe(lambda: beads(shape=(*SHAPE, 1, 1)))),
    "N22-rgb": Opens(
        Recipe(lambda: np.stack([beads(np.uint8)] * 3, -1).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]),
        ("nifti.view_only",),
    ),
    "N22-rgba": Opens(
        Recipe(lambda: np.stack([beads(np.uint8)] * 4, -1).view([(c, "u1") for c in "RGBA"])[..., 0]),
        ("nifti.view_only",),
    ),
    "N22-complex": Opens(Recipe(lambda: (beads() * -1j).astype(np.complex64)), ("nifti.view_only",)),
    "N23-int64": Opens(Recipe(lambda: beads(np.int64))),
    "N23-uint64": Opens(Recipe(lambda: beads(np.uint64))),
    "N24-metre": Opens(Recipe(affine=zoomed(1e-3), fields={"xyzt_units": 1}), ("nifti.unit_converted",)),
    "N24-micron": Opens(Recipe(affine=zoomed(1e3), fields={"xyzt_units": 3}), ("nifti.unit_converted",)),
    "N24-unknown": Opens(Recipe(fields={"xyzt_units": 0}), notes=("nifti.unit_unknown",)),
    "N30": Opens(Recipe(fields={"vox_offset": 0}), ("nifti.offset",)),
    "N33-gzip-named-nii": Opens(Recipe(after=renamed("b.nii", gzip.compress))),
    "N33-plain-named-gz": Opens(Recipe(after=renamed("b.nii.gz"))),
    "N34": Opens(Recipe(kind=nib.Nifti1Pair, name="a.img")),
    "N34-from-hdr": Opens(Recipe(kind=nib.Nifti1Pair, name="a.img", after=lambda path: path.with_suffix(".hdr"))),
    "N35": Opens(Recipe(kind=nib.Nifti2Image)),
    "N35-pair": Opens(Recipe(kind=nib.Nifti2Pair, name="a.img")),
    "N38": Opens(Recipe(big_endian=True, dtype=np.dtype(">i2"))),
    "N40": Opens(Recipe(fields={"bitpix": 8}), notes=("nifti.bitpix",)),
    "N43": Opens(Recipe(after=with_dicom_extension), ("nifti.extension",)),
}


def bead_error(volume: Volume, affine: np.ndarray, scale: float = 1, offset: float = 0) -> float:
    """Largest distance, mm, between a bead and its place; each value occurs once."""
    errors = []
    for stored, value in BEADS.items():
        (seen,) = np.argwhere(volume.voxels == value * scale + offset)
        truth = TO_LPS @ (affine[:3, :3] @ stored + affine[:3, 3])
        errors.append(np.linalg.norm(volume.geometry.to_patient(seen) - truth))
    return float(max(errors))


def told(volume: Volume, severity: str) -> set[str]:
    return {f.code for f in volume.origin_provenance.findings if f.severity == severity}


@pytest.mark.parametrize("row", OPENS)
def test_opens_with_its_beads_in_place(tmp_path: Path, row: str) -> None:
    case = OPENS[row]
    volume = open_volume(case.recipe.write(tmp_path))
    assert bead_error(volume, case.affine, case.scale, case.offset) < 1e-3
    assert told(volume, "warning") == set(case.warns)
    assert told(volume, "note") == set(case.notes)


def test_n21_time_is_an_axis(tmp_path: Path) -> None:
    data = np.stack([beads(), 2 * beads()], -1)
    volume = open_volume(Recipe(lambda: data).write(tmp_path))
    assert volume.voxels.shape[0] == 2
    assert bead_error(volume.at_time(0), AFFINE) < 1e-3
    assert bead_error(volume.at_time(1), AFFINE, scale=2) < 1e-3


def test_n23_large_integers_are_exact(tmp_path: Path) -> None:
    data = np.zeros(SHAPE, np.uint64)
    data[2, 3, 4] = 2**53 + 1
    assert int(open_volume(Recipe(lambda: data).write(tmp_path)).voxels.max()) == 2**53 + 1


@pytest.mark.parametrize("third", [2.5, 0])
def test_n27_a_flat_image_is_one_slice(tmp_path: Path, third: float) -> None:
    data = np.zeros(SHAPE[:2], np.int16)
    data[7, 2] = 70
    recipe = Recipe(lambda: data, sform=0, qform=1, fields=pixdim(0.8, 1.2, third, qfac=-1))
    volume = open_volume(recipe.write(tmp_path))
    (seen,) = np.argwhere(volume.voxels == 70)
    assert volume.voxels.shape == (1, 8, 9)
    np.testing.assert_allclose(volume.geometry.to_patient(seen), TO_LPS @ (AFFINE @ (7, 2, 0, 1))[:3], atol=1e-3)


def test_n41_voxels_that_are_no_numbers_stay_and_are_not_counted(tmp_path: Path) -> None:
    data = beads(np.float32)
    data[0, 0, 0], data[0, 0, 1] = np.nan, np.inf
    volume = open_volume(Recipe(lambda: data).write(tmp_path))
    assert bead_error(volume, AFFINE) < 1e-3
    assert np.isnan(volume.voxels).sum() == np.isinf(volume.voxels).sum() == 1
    table = SegmentTable((Segment(1, "All"),))
    everything = Segmentation(np.ones(volume.voxels.shape, np.uint8), volume.geometry, table)
    (measured,) = segment_statistics(everything, volume)
    assert measured.mean == pytest.approx(sum(BEADS.values()) / (data.size - 2))


# -- A: asks, and either answer puts the beads where it says -------------------------------------------------------


def towards(codes: str) -> np.ndarray:
    affine = np.diag([*(s * (1 if c == p else -1) for c, p, s in zip(codes, "RAS", (0.8, 1.2, 2.5), strict=True)), 1])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine


UNORIENTED = {letters: towards(letters) for letters in ("RAS", "LAS", "LPS")}

ASKS: dict[str, tuple[Recipe, str, dict[str, np.ndarray]]] = {
    "N2": (Recipe(sform=0, qform=0), "orientation", UNORIENTED),
    "N3": (Recipe(qform=1, q_affine=MIRROR), "form", {"sform": AFFINE, "qform": MIRROR}),
    "N4-aligned": (Recipe(sform=2, qform=1, q_affine=MOVED), "form", {"sform": AFFINE, "qform": MOVED}),
    "N4-mni": (Recipe(sform=4, qform=1, q_affine=MOVED), "form", {"sform": AFFINE, "qform": MOVED}),
    "N36": (Recipe(kind=nib.AnalyzeImage, name="a.img"), "orientation", UNORIENTED),
    "N36-big-endian": (
        Recipe(kind=nib.AnalyzeImage, name="a.img", big_endian=True, dtype=np.dtype(">i2")),
        "orientation",
        UNORIENTED,
    ),
}


@pytest.mark.parametrize("row", ASKS)
def test_asks_and_does_as_it_is_told(tmp_path: Path, row: str) -> None:
    recipe, keyword, answers = ASKS[row]
    path = recipe.write(tmp_path)
    with pytest.raises(DecisionNeededError) as caught:
        open_volume(path)
    (listed,) = scan(path).found[0].decisions
    assert (listed.keyword, listed.choices) == (caught.value.keyword, caught.value.choices)
    assert str(caught.value).startswith(listed.question)
    assert caught.value.keyword == keyword
    assert list(caught.value.choices) == list(answers)
    assert "a." in str(caught.value)
    for answer, affine in answers.items():
        volume = open_volume(path, **{keyword: answer})
        assert bead_error(volume, affine) < 1e-3
        assert f"place.{keyword}_chosen" in told(volume, "warning")


def test_n2_and_n36_are_listed_with_what_is_unknown(tmp_path: Path) -> None:
    recipe, _, _ = ASKS["N36"]
    (found,) = scan(recipe.write(tmp_path).parent).found
    assert {"nifti.analyze", "nifti.orientation_unknown"} <= {finding.code for finding in found.findings}


def test_n36_the_scale_factor_of_spm_is_used(tmp_path: Path) -> None:
    path = Recipe(kind=nib.AnalyzeImage, name="a.img").write(tmp_path)
    head = path.with_suffix(".hdr")
    raw = bytearray(head.read_bytes())
    raw[112:116] = struct.pack("<f", 0.5)
    head.write_bytes(raw)
    assert bead_error(open_volume(path, orientation="LAS"), UNORIENTED["LAS"], scale=0.5) < 1e-3


def test_n3_labels_take_the_form_of_their_image(tmp_path: Path) -> None:
    path = ASKS["N3"][0].write(tmp_path)
    for form in ("sform", "qform"):
        volume = open_volume(path, form=form)
        assert np.array_equal(load_labels(path, volume).labels, volume.voxels)


# -- X: refused, by a code ---------------------------------------------------------------------------------------


REFUSED: dict[str, tuple[Recipe, str]] = {
    "N8-qform": (Recipe(sform=0, qform=1, fields=pixdim(0, 1.2, 2.5)), "geometry.singular"),
    "N13": (Recipe(fields={"srow_x": [np.nan, 0, 0, 0]}), "geometry.non_finite"),
    "N14": (Recipe(fields={"srow_x": [0, 0, 0, 0]}), "geometry.singular"),
    "N15": (Recipe(sform=0, qform=1, fields={"quatern_b": 0.9, "quatern_c": 0.9}), "nifti.qform"),
    "N21-vector": (Recipe(lambda: beads(shape=(*SHAPE, 1, 3))), "nifti.vector"),
    "N25": (Recipe(fields={"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}), "nifti.incomplete"),
    "N25-gzip": (
        Recipe(fields={"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, after=renamed("a.nii.gz", gzip.compress)),
        "nifti.incomplete",
    ),
    "N26-negative": (Recipe(fields={"dim": [3, -9, 8, 7, 1, 1, 1, 1]}), "nifti.dimensions"),
    "N26-none": (Recipe(fields={"dim": [0, 9, 8, 7, 1, 1, 1, 1]}), "nifti.dimensions"),
    "N26-nine": (Recipe(fields={"dim": [9, 9, 8, 7, 1, 1, 1, 1]}), "nifti.dimensions"),
    "N28": (Recipe(after=cut(300)), "nifti.incomplete"),
    "N29": (Recipe(fields={"vox_offset": 1e7}), "nifti.incomplete"),
    "N29-nan": (Recipe(fields={"vox_offset": np.nan}), "nifti.offset"),
    "N29-gzip": (Recipe(fields={"vox_offset": 2e5}, after=renamed("a.nii.gz", gzip.compress)), "nifti.incomplete"),
    "N31": (Recipe(noisy, name="a.nii.gz", after=cut(100)), "nifti.incomplete"),
    "N32": (Recipe(name="a.nii.gz", after=wrong_checksum), "nifti.incomplete"),
    "N34-missing": (Recipe(kind=nib.Nifti1Pair, name="a.img", after=without_image), "nifti.missing_partner"),
    "N36-missing": (Recipe(kind=nib.AnalyzeImage, name="a.img", after=without_image), "nifti.missing_partner"),
    "N37": (Recipe(fields={"magic": b"xyz"}), "nifti.not_nifti"),
    "N37-pair": (Recipe(kind=nib.Nifti1Pair, name="a.img", fields={"magic": b"ni7"}), "nifti.not_nifti"),
    "N39-unknown": (Recipe(fields={"datatype": 999}), "nifti.datatype"),
    "N39-bits": (Recipe(fields={"datatype": 1}), "nifti.datatype"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_is_refused_with_its_reason(tmp_path: Path, row: str) -> None:
    recipe, code = REFUSED[row]
    path = recipe.write(tmp_path)
    with pytest.raises(RefusedError) as caught:
        open_volume(path)
    assert caught.value.code == code
    assert path.stem.split(".")[0] in str(caught.value)


def test_n32_plain_bytes_behind_the_last_voxel_end_somewhere(tmp_path: Path) -> None:
    path = Recipe().write(tmp_path)
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(path.read_bytes() + bytes(80 << 20), 1))
    with pytest.raises(RefusedError, match="goes on"):
        open_volume(bomb)


# -- labels --------------------------------------------------------------------------------------------------------


@pytest.fixture
def image(tmp_path: Path) -> Volume:
    return open_volume(Recipe(noisy, name="image.nii").write(tmp_path))


@pytest.mark.parametrize(
    ("row", "recipe", "code"),
    [
        ("N20", Recipe(fields={"scl_slope": 2, "scl_inter": 0}), "labels.scaled"),
        (
            "N23",
            Recipe(lambda: np.where(beads(), beads() - np.float32(5e-5), 0).astype(np.float32)),
            "labels.rounded",
        ),
    ],
)
def test_labels_near_integers_are_rounded_and_told(
    tmp_path: Path, image: Volume, row: str, recipe: Recipe, code: str
) -> None:
    factor = 2 if row == "N20" else 1
    labels = load_labels(recipe.write(tmp_path), image)
    assert set(np.unique(labels.labels)) == {0, *(factor * value for value in BEADS.values())}
    assert {finding.code for finding in labels.findings} == {code}


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(fields={"scl_slope": 0.33, "scl_inter": 0}),
        Recipe(lambda: beads(np.float32) + np.float32(0.4)),
        Recipe(lambda: (beads() * -1j).astype(np.complex64)),
    ],
)
def test_n20_values_between_integers_are_no_labels(tmp_path: Path, image: Volume, recipe: Recipe) -> None:
    with pytest.raises(RefusedError) as caught:
        load_labels(recipe.write(tmp_path), image)
    assert caught.value.code == "labels.not_integers"


def test_n42_the_intent_says_labels(tmp_path: Path) -> None:
    volume = open_volume(Recipe(fields={"intent_code": 1002}).write(tmp_path))
    assert volume.origin_provenance.details["is_labels"]
    assert not open_volume(Recipe(name="b.nii").write(tmp_path)).origin_provenance.details["is_labels"]


def test_n43_and_n44_exports_take_nothing_from_the_header_of_the_image(tmp_path: Path) -> None:
    source = Recipe(
        lambda: beads(np.float32), fields={"scl_slope": 1.00003, "scl_inter": 0, "descrip": b"Doe^Jane"}
    ).write(tmp_path)
    with_dicom_extension(source)
    volume = open_volume(source)
    labels = Segmentation((volume.voxels > 0).astype(np.uint8) * 2, volume.geometry, SegmentTable())
    for written in (
        save_labels_nifti(tmp_path / "labels.nii", labels, volume),
        save_volume_nifti(tmp_path / "volume.nii", volume),
    ):
        header = nib.load(written).header
        assert not len(header.extensions)
        assert b"Jane" not in written.read_bytes()
        assert header["scl_slope"] in (0, 1) or np.isnan(header["scl_slope"])
    assert nib.load(tmp_path / "labels.nii").get_data_dtype() == np.uint8
    assert set(np.unique(nib.load(tmp_path / "labels.nii").get_fdata())) == {0, 2}


def test_n16_a_written_qform_is_exact_or_absent(tmp_path: Path) -> None:
    far = np.zeros((256, 200, 60), np.uint8)
    for degrees in (0, 25, 179.9, 179.97, 180):
        volume = open_volume(Recipe(lambda: far, affine=turned(degrees), name=f"{degrees}.nii").write(tmp_path))
        header = nib.load(save_volume_nifti(tmp_path / "out.nii.gz", volume)).header
        corners = np.array([(*c, 1) for c in itertools.product((0, 255), (0, 199), (0, 59))])
        if header["qform_code"]:
            assert np.abs(corners @ (header.get_qform() - header.get_sform()).T).max() < 1e-3
        assert header["sform_code"] == 1


@pytest.mark.parametrize(("degrees", "sform", "error"), [(0.074, 2, 1e-3), (0.0279, 2, 1e-3), (0.074, 0, 0.1)])
def test_n16_rounding_near_180_degrees_is_no_contradiction(
    tmp_path: Path, degrees: float, sform: int, error: float
) -> None:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]]) @ AFFINE
    data = np.zeros((400, 2, 200), np.uint8)
    path = Recipe(lambda: data, affine=affine, sform=sform, qform=1).write(tmp_path)
    stored = open_volume(path).origin_provenance.source_geometry.to_ras_ijk()
    corners = np.array([(*c, 1) for c in itertools.product((0, 399), (0, 1), (0, 199))])
    assert np.abs(corners @ (stored - affine).T).max() < error
    assert np.abs(corners @ (nib.load(path).header.get_qform() - affine).T).max() > 0.2


def test_every_row_of_the_catalogue_is_here() -> None:
    rows = {name.split("-")[0] for name in (*OPENS, *ASKS, *REFUSED)}
    elsewhere = {"N20", "N27", "N41", "N42", "N44"}
    assert rows | elsewhere == {f"N{number}" for number in range(1, 45)}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_damaged_header_is_refused_or_told_or_read_as_nibabel_reads_it(tmp_path: Path, kind: type) -> None:
    rng = np.random.default_rng(0)
    path = Recipe(noisy, kind=kind, qform=1).write(tmp_path)
    original, size = path.read_bytes(), kind.header_class.single_vox_offset
    silent = 0
    for _ in range(500):
        damaged = bytearray(original)
        for at in rng.integers(0, size, 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            volume = open_volume(path)
        except VolsegError:
            continue
        if told(volume, "warning") or volume.voxels.ndim != 3:
            continue
        try:
            trusted = kind.from_filename(path)
        except (nib.spatialimages.HeaderDataError, nib.filebasedimages.ImageFileError):
            continue
        silent += 1
        stored = volume.origin_provenance.source_geometry.to_ras_ijk()
        np.testing.assert_allclose(stored, trusted.affine, rtol=1e-6, atol=1e-3)
        values = apply_reorientation(volume.voxels, invert_reorientation(volume.origin_provenance.reorientation))
        meant = np.asanyarray(trusted.dataobj).reshape(values.shape[::-1]).T
        np.testing.assert_allclose(values, meant.astype(values.dtype), rtol=1e-5)
    assert silent > 20
