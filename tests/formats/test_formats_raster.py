"""NRRD and MetaImage in and out: the right place, the same values, or refused by name."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from napari_volseg.core import (
    DecisionNeededError,
    Geometry,
    Provenance,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    TimeAxis,
    UsageError,
    Volume,
)
from napari_volseg.formats import (
    load_labels,
    open_volume,
    save_labels_metaimage,
    save_volume,
    scan,
)
from napari_volseg.spatial import apply_reorientation, display_reorientation, reorient_geometry

SHAPE_IJK = (5, 6, 7)
ALL_CODES = ["".join(c) for order in permutations(("LR", "PA", "SI")) for c in product(*order)]
ENDINGS = (".nrrd", ".mha")


def affine_towards(codes: str, degrees: float = 0, shear: float = 0) -> np.ndarray:
    """Affine (index (i, j, k) → RAS mm) whose index runs towards ``codes``, far from the origin."""
    letters = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    axes = np.zeros((3, 3))
    for axis, letter in enumerate(codes):
        row, sign = letters[letter]
        axes[row, axis] = sign
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ axes @ np.diag([0.1, 1.2, 10])
    affine[:3, 3] = (1333.3, -1499.7, 100.01)
    affine[0, 2] += shear
    return affine


def volume_on(affine: np.ndarray, stored: np.ndarray, time: TimeAxis | None = None) -> Volume:
    geometry = Geometry.from_ras_ijk(affine, stored.shape[:-4:-1])
    reorientation = display_reorientation(geometry)
    return Volume(
        np.ascontiguousarray(apply_reorientation(stored, reorientation)),
        reorient_geometry(geometry, reorientation),
        provenance=Provenance("memory", geometry, reorientation),
        time=time,
    )


def values(dtype: str = "u2") -> np.ndarray:
    return np.arange(210).reshape(7, 6, 5).astype(dtype)


def read_by_hand(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read voxels (k, j, i) and affine (index (i, j, k) → RAS) with nothing of the program."""
    raw = path.read_bytes()
    numbers = r"[-+.e\d]+"
    if path.suffix == ".nrrd":
        head, body = raw.split(b"\n\n", 1)
        text = head.decode()
        vectors = np.array(re.findall(rf"\(({numbers}),({numbers}),({numbers})\)", text), float)
        axes, origin = vectors[:3].T, vectors[3]
        dtype = re.search(r"type: (\w+)", text)[1]
        sizes = [int(n) for n in re.search(r"sizes: ([\d ]+)", text)[1].split()]
        data = gzip.decompress(body)
    else:
        head, body = raw.split(b"ElementDataFile = LOCAL\n", 1)
        fields = dict(line.split(" = ") for line in head.decode().splitlines())
        axes = np.array(fields["TransformMatrix"].split(), float).reshape(3, 3).T
        axes = axes * np.array(fields["ElementSpacing"].split(), float)
        origin = np.array(fields["Offset"].split(), float)
        dtype = {"MET_USHORT": "uint16", "MET_UCHAR": "uint8", "MET_UINT": "uint32"}[fields["ElementType"]]
        sizes = [int(n) for n in fields["DimSize"].split()]
        data = zlib.decompress(body)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    return np.frombuffer(data, f"<{np.dtype(dtype).str[1:]}").reshape(sizes[::-1]), np.diag([-1, -1, 1, 1]) @ affine


def corner_error(first: np.ndarray, second: np.ndarray) -> float:
    corners = np.array([(*c, 1) for c in product(*((0, n - 1) for n in SHAPE_IJK))])
    return float(np.abs(corners @ (first - second).T).max())


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("degrees", "shear"), [(0, 0), (9, 0), (9, 0.4)])
def test_all_48_storage_orders_return_to_their_place(
    tmp_path: Path, ending: str, degrees: float, shear: float
) -> None:
    for codes in ALL_CODES:
        affine = affine_towards(codes, degrees, shear)
        volume = volume_on(affine, values())
        path = save_volume(tmp_path / f"{codes}{ending}", volume)
        voxels, written = read_by_hand(path)
        assert corner_error(written, affine) < 1e-3
        assert np.array_equal(voxels, values())
        again = open_volume(path)
        assert again.geometry.same_grid(volume.geometry)
        assert again.geometry.axis_codes == "SPL"
        assert np.array_equal(again.voxels, volume.voxels)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_types_survive(tmp_path: Path, ending: str, dtype: str) -> None:
    stored = values(dtype)
    stored[0, 0, 0] = np.nan if dtype[0] == "f" else np.iinfo(dtype).max
    again = open_volume(save_volume(tmp_path / f"a{ending}", volume_on(np.eye(4), stored)))
    assert again.voxels.dtype == np.dtype(dtype)
    assert np.array_equal(again.voxels, volume_on(np.eye(4), stored).voxels, equal_nan=dtype[0] == "f")


@pytest.mark.parametrize("ending", ENDINGS)
def test_series_survive(tmp_path: Path, ending: str) -> None:
    stored = np.stack([values(), values() + 300])
    volume = volume_on(affine_towards("LAS"), stored, TimeAxis("time", "s", (0.0, 2.5)))
    again = open_volume(save_volume(tmp_path / f"a{ending}", volume))
    assert again.time == volume.time
    assert np.array_equal(again.voxels, volume.voxels)


def test_a_detached_header_goes_with_its_data(tmp_path: Path) -> None:
    affine = affine_towards("PIR", 9, 0.4)
    volume = volume_on(affine, values())
    path = save_volume(tmp_path / "a.mhd", volume)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mhd", "a.zraw"]
    assert zlib.decompress((tmp_path / "a.zraw").read_bytes()) == values().astype("<u2").tobytes()
    assert path.read_text().endswith("ElementDataFile = a.zraw\n")
    again = open_volume(path)
    assert again.geometry.same_grid(volume.geometry)
    assert np.array_equal(again.voxels, volume.voxels)


def test_an_image_is_not_overwritten_by_its_own_export(tmp_path: Path) -> None:
    for ending in (".nrrd", ".mha", ".mhd"):
        volume = open_volume(save_volume(tmp_path / f"a{ending}", volume_on(np.eye(4), values())))
        with pytest.raises(RefusedError) as caught:
            save_volume(tmp_path / f"a{ending}", volume)
        assert caught.value.code == "export.over_source"


def test_other_endings_are_refused(tmp_path: Path) -> None:
    volume = volume_on(np.eye(4), values())
    for name in ("a.png", "a.seg.nrrd", "a"):
        with pytest.raises(UsageError):
            save_volume(tmp_path / name, volume)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("highest", [1, 254, 255, 256, 65535, 65536])
def test_labels_are_the_same_bytes_and_keep_their_names(tmp_path: Path, highest: int) -> None:
    affine = affine_towards("PIR", 9, 0.4)
    stored = values().astype(np.int64)
    stored[3, 2, 1] = highest
    labels = np.where(stored == highest, highest, 0).astype(np.uint32)
    volume = volume_on(affine, values("i2"))
    table = SegmentTable((Segment(highest, "Liver, left"),))
    segmentation = Segmentation(volume_on(affine, labels).voxels, volume.geometry, table)
    path = save_labels_metaimage(tmp_path / "labels.mha", segmentation, volume)
    voxels, _ = read_by_hand(path)
    assert np.array_equal(voxels, labels)
    assert voxels.dtype == np.min_scalar_type(highest)
    again = load_labels(path, volume)
    assert np.array_equal(again.labels, segmentation.labels)
    assert again.table == table


# -- headers by hand ----------------------------------------------------------------------------------------------

LPS = {
    "space": "left-posterior-superior",
    "space directions": "(-0.8,0,0) (0,-1.2,0) (0,0,2.5)",
    "space origin": "(33,-20,100)",
}
NRRD = {"type": "short", "dimension": "3", "sizes": "5 6 7", "endian": "little", "encoding": "raw"} | LPS
AFFINE = np.array([[0.8, 0, 0, -33], [0, 1.2, 0, 20], [0, 0, 2.5, 100], [0, 0, 0, 1]])
BODY = values("<i2").tobytes()


def nrrd(path: Path, body: bytes = BODY, drop: str = "", **fields: str) -> Path:
    """Write an NRRD file; underscores in keywords stand for spaces."""
    lines = NRRD | {name.replace("_", " "): text for name, text in fields.items()}
    lines.pop(drop, None)
    head = "NRRD0004\n# by hand\n" + "".join(f"{name}: {text}\n" for name, text in lines.items())
    path.write_bytes(head.encode() + b"\n" + body)
    return path


META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "-1 0 0 0 -1 0 0 0 1",
    "Offset": "33 -20 100",
    "ElementSpacing": "0.8 1.2 2.5",
    "DimSize": "5 6 7",
    "ElementType": "MET_SHORT",
}


def meta(path: Path, body: bytes = BODY, data: str = "LOCAL", drop: str = "", **fields: str) -> Path:
    lines = META | fields
    lines.pop(drop, None)
    head = "".join(f"{name} = {text}\n" for name, text in lines.items())
    path.write_bytes(f"{head}ElementDataFile = {data}\n".encode() + body)
    return path


def raw_beside(path: Path, content: bytes = BODY) -> str:
    (path.parent / "voxels.raw").write_bytes(content)
    return "voxels.raw"


Make = Callable[[Path], Path]

SAME: dict[str, Make] = {
    "nrrd": lambda f: nrrd(f / "a.nrrd"),
    "nrrd-named-otherwise": lambda f: nrrd(f / "a.dat"),
    "nrrd-big": lambda f: nrrd(f / "a.nrrd", values(">i2").tobytes(), endian="big"),
    "nrrd-gzip": lambda f: nrrd(f / "a.nrrd", gzip.compress(BODY), encoding="gz"),
    "nrrd-ras": lambda f: nrrd(
        f / "a.nrrd", space="RAS", space_directions="(.8,0,0) (0,1.2,0) (0,0,2.5)", space_origin="(-33,20,100)"
    ),
    "nrrd-las": lambda f: nrrd(
        f / "a.nrrd",
        space="left-anterior-superior",
        space_directions="(-.8,0,0) (0,1.2,0) (0,0,2.5)",
        space_origin="(33,20,100)",
    ),
    "nrrd-centimetres": lambda f: nrrd(
        f / "a.nrrd",
        space_units='"cm" "cm" "cm"',
        space_directions="(-0.08,0,0) (0,-0.12,0) (0,0,0.25)",
        space_origin="(3.3,-2,10)",
    ),
    "nrrd-byte-skip": lambda f: nrrd(f / "a.nrrd", b"12345" + BODY, byte_skip="5"),
    "nrrd-at-the-end": lambda f: nrrd(f / "a.nrrd", b"12345" + BODY, byte_skip="-1"),
    "nhdr": lambda f: nrrd(f / "a.nhdr", b"", data_file=raw_beside(f / "a")),
    "mha": lambda f: meta(f / "a.mha"),
    "mha-named-otherwise": lambda f: meta(f / "a.img"),
    "mha-big": lambda f: meta(f / "a.mha", values(">i2").tobytes(), BinaryDataByteOrderMSB="True"),
    "mha-deflated": lambda f: meta(f / "a.mha", zlib.compress(BODY), CompressedData="True"),
    "mhd": lambda f: meta(f / "a.mhd", b"", data=raw_beside(f / "a")),
    "mhd-header-size": lambda f: meta(f / "a.mhd", b"", data=raw_beside(f / "a", b"123" + BODY), HeaderSize="3"),
    "mhd-at-the-end": lambda f: meta(f / "a.mhd", b"", data=raw_beside(f / "a", b"123" + BODY), HeaderSize="-1"),
}


@pytest.mark.parametrize("name", SAME)
def test_one_image_in_many_words(tmp_path: Path, name: str) -> None:
    volume = open_volume(SAME[name](tmp_path))
    meant = volume_on(AFFINE, values("i2"))
    assert volume.geometry.same_grid(meant.geometry)
    assert np.array_equal(volume.voxels, meant.voxels)
    assert volume.voxels.dtype == np.int16


BOMB = gzip.compress(bytes(1 << 20))

REFUSED: dict[str, tuple[Make, str]] = {
    "text": (lambda f: (f / "a.nrrd").write_text("Dear reader") and f / "a.nrrd", "nrrd.not_nrrd"),
    "nrrd-huge": (lambda f: nrrd(f / "a.nrrd", sizes="30000 30000 30000"), "nrrd.incomplete"),
    "nrrd-huge-gzip": (
        lambda f: nrrd(f / "a.nrrd", BOMB, sizes="30000 30000 30000", encoding="gzip"),
        "nrrd.incomplete",
    ),
    "nrrd-beyond-64-bits": (lambda f: nrrd(f / "a.nrrd", sizes=f"{2**40} {2**40} 7"), "nrrd.incomplete"),
    "nrrd-cut": (lambda f: nrrd(f / "a.nrrd", BODY[:-1]), "nrrd.incomplete"),
    "nrrd-cut-gzip": (lambda f: nrrd(f / "a.nrrd", gzip.compress(BODY)[:-9], encoding="gzip"), "nrrd.incomplete"),
    "nrrd-checksum": (
        lambda f: nrrd(f / "a.nrrd", gzip.compress(BODY)[:-8] + bytes(8), encoding="gzip"),
        "nrrd.incomplete",
    ),
    "nrrd-no-gzip": (lambda f: nrrd(f / "a.nrrd", BODY, encoding="gzip"), "nrrd.incomplete"),
    "nrrd-sizes": (lambda f: nrrd(f / "a.nrrd", sizes="5 -6 7"), "nrrd.sizes"),
    "nrrd-sizes-missing": (lambda f: nrrd(f / "a.nrrd", drop="sizes"), "nrrd.sizes"),
    "nrrd-dimension": (lambda f: nrrd(f / "a.nrrd", dimension="4"), "nrrd.sizes"),
    "nrrd-type": (lambda f: nrrd(f / "a.nrrd", type="block"), "nrrd.type"),
    "nrrd-endian": (lambda f: nrrd(f / "a.nrrd", drop="endian"), "nrrd.endian"),
    "nrrd-encoding": (lambda f: nrrd(f / "a.nrrd", encoding="hex"), "nrrd.encoding"),
    "nrrd-nan": (
        lambda f: nrrd(f / "a.nrrd", space_directions="(nan,0,0) (0,1,0) (0,0,1)"),
        "geometry.non_finite",
    ),
    "nrrd-singular": (
        lambda f: nrrd(f / "a.nrrd", space_directions="(1,0,0) (1,0,0) (0,0,1)"),
        "geometry.singular",
    ),
    "nrrd-flat": (lambda f: nrrd(f / "a.nrrd", space_directions="(1,0,0) none (0,0,1)"), "nrrd.dimensions"),
    "nrrd-words": (
        lambda f: nrrd(f / "a.nrrd", space_directions="(a,0,0) (0,1,0) (0,0,1)"),
        "nrrd.space_directions",
    ),
    "nrrd-outside": (lambda f: nrrd(f / "a.nhdr", b"", data_file="../voxels.raw"), "nrrd.data_file"),
    "nrrd-absolute": (lambda f: nrrd(f / "a.nhdr", b"", data_file="/etc/hostname"), "nrrd.data_file"),
    "nrrd-no-data": (lambda f: nrrd(f / "a.nhdr", b"", data_file="voxels.raw"), "nrrd.data_file"),
    "nrrd-many-files": (lambda f: nrrd(f / "a.nhdr", b"", data_file="slice%03d.raw 1 7 1"), "nrrd.data_file"),
    "nrrd-colours": (
        lambda f: nrrd(
            f / "a.nrrd",
            BODY,
            type="uchar",
            dimension="4",
            sizes="2 5 6 7",
            kinds="vector domain domain domain",
            space_directions="none (1,0,0) (0,1,0) (0,0,1)",
        ),
        "nrrd.vector",
    ),
    "mha-huge": (lambda f: meta(f / "a.mha", DimSize="30000 30000 30000"), "metaimage.incomplete"),
    "mha-cut": (lambda f: meta(f / "a.mha", BODY[:-1]), "metaimage.incomplete"),
    "mha-cut-deflated": (
        lambda f: meta(f / "a.mha", zlib.compress(BODY)[:-5], CompressedData="True"),
        "metaimage.incomplete",
    ),
    "mha-checksum": (
        lambda f: meta(f / "a.mha", zlib.compress(BODY)[:-4] + bytes(4), CompressedData="True"),
        "metaimage.incomplete",
    ),
    "mha-sizes": (lambda f: meta(f / "a.mha", DimSize="5 0 7"), "metaimage.DimSize"),
    "mha-infinite": (lambda f: meta(f / "a.mha", DimSize="5 inf 7"), "metaimage.DimSize"),
    "mha-type": (lambda f: meta(f / "a.mha", ElementType="MET_STRING"), "metaimage.ElementType"),
    "mha-text": (lambda f: meta(f / "a.mha", BinaryData="False"), "metaimage.BinaryData"),
    "mha-colours": (lambda f: meta(f / "a.mha", ElementNumberOfChannels="3"), "metaimage.vector"),
    "mha-singular": (lambda f: meta(f / "a.mha", TransformMatrix="1 0 0 1 0 0 0 0 1"), "geometry.singular"),
    "mha-few-numbers": (lambda f: meta(f / "a.mha", TransformMatrix="1 0 0"), "metaimage.TransformMatrix"),
    "mhd-outside": (lambda f: meta(f / "a.mhd", b"", data="../voxels.raw"), "metaimage.ElementDataFile"),
    "mhd-no-data": (lambda f: meta(f / "a.mhd", b"", data="voxels.raw"), "metaimage.ElementDataFile"),
    "mhd-many-files": (lambda f: meta(f / "a.mhd", b"", data="LIST"), "metaimage.ElementDataFile"),
    "mha-named-only": (lambda f: (f / "a.mha").write_text("Dear reader") and f / "a.mha", "metaimage.not_metaimage"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_are_refused_by_name(tmp_path: Path, name: str) -> None:
    make, code = REFUSED[name]
    path = make(tmp_path)
    with pytest.raises(RefusedError) as caught:
        open_volume(path)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value) or "voxels.raw" in str(caught.value)


@pytest.mark.parametrize("space", ["", "scanner-xyz"])
def test_without_anatomical_space_the_user_decides(tmp_path: Path, space: str) -> None:
    path = nrrd(tmp_path / "a.nrrd", space=space) if space else nrrd(tmp_path / "a.nrrd", drop="space")
    with pytest.raises(DecisionNeededError) as caught:
        open_volume(path)
    assert caught.value.keyword == "orientation"
    assert [decision.code for decision in scan(path).found[0].decisions] == ["nrrd.orientation_unknown"]
    volume = open_volume(path, orientation="LPS")
    assert volume.origin_provenance.source_geometry.axis_codes == "SPL"
    np.testing.assert_allclose(volume.geometry.spacing, (2.5, 1.2, 0.8))


def test_what_is_assumed_is_told(tmp_path: Path) -> None:
    volume = open_volume(meta(tmp_path / "a.mha", drop="TransformMatrix"))
    assert {f.code for f in volume.origin_provenance.findings} == {"metaimage.assumed_place"}
    volume = open_volume(nrrd(tmp_path / "a.nrrd", drop="space origin"))
    assert {f.code for f in volume.origin_provenance.findings} == {"nrrd.no_origin"}


def test_a_folder_lists_each_image_once(tmp_path: Path) -> None:
    meta(tmp_path / "a.mhd", b"", data=raw_beside(tmp_path / "a"))
    nrrd(tmp_path / "b.nrrd")
    result = scan(tmp_path)
    assert sorted(found.format for found in result.found) == ["MetaImage", "NRRD"]
    assert not result.refused


def test_damaged_headers_never_escape_as_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for path in (nrrd(tmp_path / "a.nrrd"), meta(tmp_path / "a.mha")):
        original = path.read_bytes()
        for _ in range(300):
            damaged = bytearray(original)
            for at in rng.integers(0, len(original) - len(BODY), 3):
                damaged[at] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                volume = open_volume(path, orientation="LAS")
            except (RefusedError, UsageError):
                continue
            assert volume.voxels.size
