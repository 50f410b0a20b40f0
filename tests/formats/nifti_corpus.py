"""Recipes of the NIfTI and Analyze rows of the catalogue of oddities, and what must come of each."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

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


def two_times() -> Recipe:
    """The beads, and the same with twice the values."""
    return Recipe(lambda: np.stack([beads(), 2 * beads()], -1))


def large_integers() -> Recipe:
    """One voxel that no float64 can hold."""
    data = np.zeros(SHAPE, np.uint64)
    data[2, 3, 4] = 2**53 + 1
    return Recipe(lambda: data)


def flat(third: float) -> Recipe:
    """A 2D image with one bead; ``third`` is the spacing along the axis that it doesn't have."""
    data = np.zeros(SHAPE[:2], np.int16)
    data[7, 2] = 70
    return Recipe(lambda: data, sform=0, qform=1, fields=pixdim(0.8, 1.2, third, qfac=-1))


def not_numbers() -> Recipe:
    """The beads, a voxel that is NaN and one that is infinite."""
    data = beads(np.float32)
    data[0, 0, 0], data[0, 0, 1] = np.nan, np.inf
    return Recipe(lambda: data)


# -- R and W: opens in the right place with exact values ------------------------------------------------------


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


# -- A: asks ----------------------------------------------------------------------------------------------------


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

#: What is odd about each row.
WORDS: dict[str, str] = {
    "N1-sform": "sform only",
    "N1-qform": "qform only",
    "N2": "both codes 0",
    "N3": "sform and qform mirror each other",
    "N4-aligned": "sform aligned to another file, qform scanner, 10 mm apart",
    "N4-mni": "sform MNI, qform scanner, 10 mm apart",
    "N5": "qfac -1",
    "N5-right-handed": "qfac 1, right-handed",
    "N6-0": "qfac 0",
    "N6-3": "qfac 3",
    "N7-qform": "negative pixdim, placed by qform",
    "N7-sform": "negative pixdim, placed by sform",
    "N8-sform": "zero pixdim, placed by sform",
    "N8-both": "zero pixdim, sform and qform",
    "N8-qform": "zero pixdim, placed by qform",
    "N9": "pixdim contradicts sform",
    "N10": "sheared sform",
    "N11": "shear of 1e-3",
    "N12": "oblique",
    "N13": "NaN in sform",
    "N14": "singular sform",
    "N15": "quaternion longer than 1",
    "N16": "turned by nearly 180 degrees, sform and qform",
    "N17": "slope 0 with intercept 7",
    "N18-nan": "slope NaN",
    "N18-inf": "slope infinite",
    "N19": "intercept NaN",
    "N20-image": "integers with slope 2, intercept -1",
    "N21-one-volume": "4D with one volume",
    "N21-5D": "5D with one volume",
    "N21-time": "4D with two volumes",
    "N21-vector": "a vector per voxel",
    "N22-rgb": "RGB",
    "N22-rgba": "RGBA",
    "N22-complex": "complex numbers",
    "N23-int64": "int64",
    "N23-uint64": "uint64",
    "N23-large": "an integer beyond 2^53",
    "N24-metre": "measured in metres",
    "N24-micron": "measured in microns",
    "N24-unknown": "unit of length unknown",
    "N25": "dimensions of 30000 in a small file",
    "N25-gzip": "dimensions of 30000 in a small gzip file",
    "N26-negative": "negative dimension",
    "N26-none": "dim[0] of 0",
    "N26-nine": "dim[0] of 9",
    "N27": "2D image",
    "N28": "voxels cut short",
    "N29": "offset beyond the end",
    "N29-nan": "offset NaN",
    "N29-gzip": "offset beyond the end of a gzip file",
    "N30": "offset 0 in a single file",
    "N31": "gzip data cut short",
    "N32": "gzip checksum wrong",
    "N33-gzip-named-nii": "gzip data named .nii",
    "N33-plain-named-gz": "plain data named .nii.gz",
    "N34": "pair, opened by its .img",
    "N34-from-hdr": "pair, opened by its .hdr",
    "N34-missing": "pair without its .img",
    "N35": "NIfTI-2",
    "N35-pair": "NIfTI-2 pair",
    "N36": "Analyze 7.5",
    "N36-big-endian": "Analyze 7.5, big endian",
    "N36-missing": "Analyze 7.5 without its .img",
    "N37": "bad magic",
    "N37-pair": "bad magic of a pair",
    "N38": "big endian",
    "N39-unknown": "datatype 999",
    "N39-bits": "datatype 1 (one bit)",
    "N40": "bitpix wrong",
    "N41": "NaN and infinite voxels",
    "N42": "intent code of labels",
    "N43": "header extension with a DICOM header",
}
