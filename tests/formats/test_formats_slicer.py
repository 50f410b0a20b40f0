"""Segmentations of 3D Slicer (.seg.nrrd): labels, names, colours and codes, in and out."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from napari_volseg.core import (
    Code,
    Geometry,
    GeometryError,
    Provenance,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    Volume,
)
from napari_volseg.formats import load_labels, save_seg_nrrd, scan
from napari_volseg.spatial import (
    apply_reorientation,
    display_reorientation,
    invert_reorientation,
    reorient_geometry,
)

AFFINE = np.array([[0.8, 0.1, 0.3, -33], [-0.1, 1.2, 0, 20], [0, 0, -2.5, 100], [0, 0, 0, 1]])
SHAPE_IJK = (9, 8, 7)


@pytest.fixture
def volume() -> Volume:
    """A volume that is stored sheared and upside down."""
    geometry = Geometry.from_ras_ijk(AFFINE, SHAPE_IJK)
    turn = display_reorientation(geometry)
    voxels = np.zeros(reorient_geometry(geometry, turn).shape, np.int16)
    return Volume(
        voxels, reorient_geometry(geometry, turn), name="image", provenance=Provenance("memory", geometry, turn)
    )


def on_display(stored: np.ndarray, volume: Volume) -> np.ndarray:
    return apply_reorientation(stored, volume.origin_provenance.reorientation)


def slicer_file(
    path: Path, stored: np.ndarray, segments: list[dict[str, str]], first_ijk: tuple[int, int, int] = (0, 0, 0)
) -> Path:
    """Write (k, j, i) or (k, j, i, layer) as 3D Slicer does, beginning at a voxel of the image."""
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    origin = (lps @ (*first_ijk, 1))[:3]
    axes = " ".join(f"({','.join(map(repr, map(float, lps[:3, axis])))})" for axis in range(3))
    layered = stored.ndim == 4
    lines = [
        "NRRD0004",
        "type: unsigned short",
        f"dimension: {stored.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, stored.shape[::-1]))}",
        f"space directions: {'none ' if layered else ''}{axes}",
        f"kinds: {'list ' if layered else ''}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: ({','.join(map(repr, map(float, origin)))})",
    ]
    lines += [f"Segment{n}_{key}:={text}" for n, keys in enumerate(segments) for key, text in keys.items()]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + gzip.compress(stored.astype("<u2").tobytes()))
    return path


def named(number: int, value: int | None = None, layer: int | None = None) -> dict[str, str]:
    keys = {"ID": f"Segment_{number}", "Name": f"Part {number}", "Color": "1 0.5 0"}
    if value is not None:
        keys |= {"LabelValue": str(value), "Layer": str(layer or 0)}
    return keys


TABLE = SegmentTable(
    (
        Segment(65535, "Leber: «links» | ~^", (1, 2, 3), algorithm_type="AUTOMATIC", algorithm_name="net 1.0"),
        Segment(256, "second\nline", (255, 254, 253), status="done"),
        Segment(1, "Liver", type=Code("10200004", "SCT", "Liver"), status="in progress"),
        Segment(255, "absent from the voxels", status="flagged"),
    )
)


def test_segments_return_as_they_were(tmp_path: Path, volume: Volume) -> None:
    stored = np.zeros(SHAPE_IJK[::-1], np.uint16)
    stored[1, 2, 3], stored[2:4, 5, 6], stored[6, 7, 8] = 65535, 256, 1
    labels = np.ascontiguousarray(on_display(stored, volume))
    path = save_seg_nrrd(tmp_path / "a.seg.nrrd", Segmentation(labels, volume.geometry, TABLE), volume)
    again = load_labels(path, volume)
    assert again.table == TABLE
    assert np.array_equal(again.labels, labels)
    head, body = path.read_bytes().split(b"\n\n", 1)
    assert gzip.decompress(body) == stored.astype("<u2").tobytes()
    assert b"Segment1_Extent:=6 6 5 5 2 3\n" in head + b"\n"
    assert b"space directions: (-0.8,0.1,0.0) (-0.1,-1.2," in head


def test_a_cropped_file_is_put_where_it_belongs(tmp_path: Path, volume: Volume) -> None:
    stored = np.zeros(SHAPE_IJK[::-1], np.uint16)
    stored[2, 3, 4], stored[3, 5, 7] = 1, 2
    path = slicer_file(tmp_path / "a.seg.nrrd", stored[2:5, 3:6, 4:8], [named(1, 1), named(2, 2)], (4, 3, 2))
    again = load_labels(path, volume)
    assert np.array_equal(again.labels, on_display(stored, volume))
    assert [(s.value, s.name, s.color) for s in again.table] == [
        (1, "Part 1", (255, 128, 0)),
        (2, "Part 2", (255, 128, 0)),
    ]


@pytest.mark.parametrize("first", [(6, 3, 2), (-1, 0, 0), (0.5, 0, 0)])
def test_voxels_that_are_not_those_of_the_image_are_refused(tmp_path: Path, volume: Volume, first: tuple) -> None:
    path = slicer_file(tmp_path / "a.seg.nrrd", np.zeros((3, 3, 4)), [named(1, 1)], first)
    with pytest.raises(GeometryError) as caught:
        load_labels(path, volume)
    assert caught.value.code == "labels.mismatch"


def layers(*voxels: tuple[int, int, int, int, int]) -> np.ndarray:
    stored = np.zeros((*SHAPE_IJK[::-1], 2), np.uint16)
    for k, j, i, layer, value in voxels:
        stored[k, j, i, layer] = value
    return stored


def labels_at(labels: np.ndarray, volume: Volume, *places: tuple[int, int, int]) -> list[int]:
    stored = apply_reorientation(labels, invert_reorientation(volume.origin_provenance.reorientation))
    return [int(stored[place]) for place in places]


@pytest.mark.parametrize(
    ("segments", "values"),
    [
        ([named(1, 7, 0), named(2, 9, 1)], (7, 9)),
        ([named(1, 7, 0), named(2, 7, 1)], (1, 2)),
        ([named(1), named(2)], (1, 2)),
    ],
    ids=["own-values", "same-value", "before-4.11"],
)
def test_layers_become_one(tmp_path: Path, volume: Volume, segments: list, values: tuple[int, int]) -> None:
    held = [int(keys.get("LabelValue", "1")) for keys in segments]
    path = slicer_file(tmp_path / "a.seg.nrrd", layers((1, 2, 3, 0, held[0]), (4, 5, 6, 1, held[1])), segments)
    again = load_labels(path, volume)
    assert labels_at(again.labels, volume, (1, 2, 3), (4, 5, 6)) == list(values)
    assert np.count_nonzero(again.labels) == 2
    assert [again.table[value].name for value in values] == ["Part 1", "Part 2"]


def test_overlap_is_refused(tmp_path: Path, volume: Volume) -> None:
    path = slicer_file(
        tmp_path / "a.seg.nrrd", layers((1, 2, 3, 0, 1), (1, 2, 3, 1, 2)), [named(1, 1, 0), named(2, 2, 1)]
    )
    with pytest.raises(RefusedError) as caught:
        load_labels(path, volume)
    assert caught.value.code == "labels.overlap"


@pytest.mark.parametrize(
    "segments",
    [
        [named(1, 0)],
        [named(1, 2**31)],
        [named(1, 1, 5)],
        [named(1, 1), named(2, 1)],
        [named(1, 1) | {"LabelValue": "one"}],
        [named(1, 1) | {"Color": "red"}],
        [named(1, 1) | {"Color": "1 1"}],
    ],
)
def test_segments_that_make_no_sense_are_refused(tmp_path: Path, volume: Volume, segments: list) -> None:
    path = slicer_file(tmp_path / "a.seg.nrrd", np.ones(SHAPE_IJK[::-1]), segments)
    with pytest.raises(RefusedError) as caught:
        load_labels(path, volume)
    assert caught.value.code == "nrrd.segments"


def test_a_segmentation_is_no_image(tmp_path: Path) -> None:
    path = slicer_file(tmp_path / "a.seg.nrrd", np.ones(SHAPE_IJK[::-1]), [named(1, 1)])
    (refused,) = scan(path).refused
    assert refused.code == "nrrd.segmentation"


def test_plain_labels_load_too(tmp_path: Path, volume: Volume) -> None:
    stored = np.zeros(SHAPE_IJK[::-1], np.uint16)
    stored[1, 2, 3] = 300
    again = load_labels(slicer_file(tmp_path / "labels.nrrd", stored, []), volume)
    assert np.array_equal(again.labels, on_display(stored, volume))
    assert again.table.values == (300,)
