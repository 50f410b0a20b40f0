"""NIfTI reading: by content, in the right place, with the right values, or refused by name."""

from __future__ import annotations

import gzip
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.core import CancelledError, CancelToken, DecisionNeededError, Progress, RefusedError, Volume
from napari_volseg.formats import load, open_volume, scan

SHAPE = (5, 6, 7)
AFFINE = np.array([[-0.8, 0, 0, 33], [0, 1.2, 0, -20], [0, 0, 2.5, 100], [0, 0, 0, 1.0]])
TO_LPS = np.diag([-1.0, -1.0, 1.0])
ALL_CODES = ["".join(c) for order in permutations(("LR", "PA", "SI")) for c in product(*order)]


def values(dtype: Any = np.int16, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def write(
    path: Path,
    data: np.ndarray | None = None,
    affine: np.ndarray = AFFINE,
    kind: type = nib.Nifti1Image,
    qform: int = 0,
    sform: int = 1,
    **fields: Any,
) -> Path:
    """Write with nibabel, then set raw header fields."""
    image = kind(values() if data is None else data, affine)
    image.set_sform(affine, code=sform)
    image.set_qform(affine, code=qform)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    if fields:
        patch(path, kind, **fields)
    return path


def patch(path: Path, kind: type = nib.Nifti1Image, **fields: Any) -> None:
    """Change header fields of an uncompressed file in place, past nibabel's own checks."""
    raw = bytearray(path.read_bytes())
    size = kind.header_class.sizeof_hdr
    header = kind.header_class(bytes(raw[:size]), check=False)
    for name, value in fields.items():
        header[name] = value
    raw[:size] = header.binaryblock
    path.write_bytes(raw)


def codes(volume: Volume) -> set[str]:
    assert volume.provenance is not None
    return {finding.code for finding in volume.provenance.findings}


def misplacement(volume: Volume, data: np.ndarray, affine: np.ndarray) -> float:
    """Largest distance, mm, between voxels of the volume and where nibabel's affine puts them."""
    errors = []
    for value in (0, 3, 41, 100, 209):
        (seen,) = np.argwhere(volume.voxels == value)
        (stored,) = np.argwhere(data == value)
        truth = TO_LPS @ (affine[:3, :3] @ stored + affine[:3, 3])
        errors.append(np.linalg.norm(volume.geometry.to_patient(seen) - truth))
    return float(max(errors))


def affine_towards(codes: str, sheared: bool = False) -> np.ndarray:
    """An affine whose index (i, j, k) runs towards ``codes``, slightly oblique, sheared on request."""
    letters = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    axes = np.zeros((3, 3))
    for axis, letter in enumerate(codes):
        row, sign = letters[letter]
        axes[row, axis] = sign
    angle = np.radians(9)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes @ np.diag([0.8, 1.2, 2.5])
    affine[:3, 3] = (33, -20, 100)
    if sheared:
        affine[0, 2] += 0.4
    return affine


@pytest.mark.parametrize("letters", ALL_CODES)
@pytest.mark.parametrize("sheared", [False, True])
def test_all_48_storage_orders_land_in_the_right_place(tmp_path: Path, letters: str, sheared: bool) -> None:
    affine = affine_towards(letters, sheared)
    volume = open_volume(write(tmp_path / "a.nii", affine=affine))
    assert misplacement(volume, values(), affine) < 1e-3
    assert volume.geometry.axis_codes == "SPL"
    assert volume.voxels.flags.c_contiguous
    assert volume.geometry.is_sheared == sheared


@pytest.mark.parametrize(("qform", "sform"), [(1, 0), (0, 1), (1, 1), (0, 2), (2, 4)])
def test_either_form_places_the_image(tmp_path: Path, qform: int, sform: int) -> None:
    volume = open_volume(write(tmp_path / "a.nii.gz", qform=qform, sform=sform))
    assert misplacement(volume, values(), AFFINE) < 1e-3
    assert codes(volume) == set()


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", "<u8"])
def test_integers_stay_what_they_are(tmp_path: Path, dtype: str) -> None:
    data = (values(np.int64) % 120).astype(dtype)
    data[0, 0, 0] = np.iinfo(dtype).max
    header = nib.Nifti1Header(endianness=dtype[0] if dtype[0] in "<>" else "<")
    header.set_data_dtype(dtype)
    image = nib.Nifti1Image(data, AFFINE, header, dtype=np.dtype(dtype))
    nib.save(image, tmp_path / "a.nii")
    volume = open_volume(tmp_path / "a.nii")
    assert volume.voxels.dtype == np.dtype(dtype).newbyteorder("=")
    assert int(volume.voxels.max()) == np.iinfo(dtype).max
    np.testing.assert_array_equal(np.sort(volume.voxels.ravel()), np.sort(data.ravel()))


def test_scaling_gives_float32(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", scl_slope=2.5, scl_inter=-1)
    volume = open_volume(path)
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(np.sort(volume.voxels.ravel()), values().ravel() * 2.5 - 1)


@pytest.mark.parametrize(("slope", "inter"), [(1, 0), (0, 7), (np.nan, np.nan), (np.inf, 0), (1, np.nan)])
def test_trivial_or_senseless_scaling_leaves_integers_alone(tmp_path: Path, slope: float, inter: float) -> None:
    volume = open_volume(write(tmp_path / "a.nii", scl_slope=slope, scl_inter=inter))
    assert volume.voxels.dtype == np.int16
    assert volume.voxels.max() == values().max()
    assert ("nifti.scaling" in codes(volume)) == (np.isinf(slope) or (slope == 1 and np.isnan(inter)))


@pytest.mark.parametrize(
    ("unit", "factor", "code"),
    [(1, 1000, "nifti.unit_converted"), (3, 0.001, "nifti.unit_converted"), (0, 1, "nifti.unit_unknown")],
)
def test_lengths_become_millimetres(tmp_path: Path, unit: int, factor: float, code: str) -> None:
    affine = np.diag([1 / factor, 1 / factor, 1 / factor, 1]) @ AFFINE
    volume = open_volume(write(tmp_path / "a.nii", affine=affine, xyzt_units=unit))
    np.testing.assert_allclose(volume.geometry.spacing, (2.5, 1.2, 0.8), rtol=1e-6)
    assert misplacement(volume, values(), AFFINE) < 1e-3
    assert code in codes(volume)


def test_without_orientation_the_user_decides(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", qform=0, sform=0)
    with pytest.raises(DecisionNeededError) as caught:
        open_volume(path)
    assert set(caught.value.choices) == {"RAS", "LAS", "LPS"}
    assert "nifti.orientation_unknown" in {f.code for f in scan(path).found[0].findings}
    for letters in caught.value.choices:
        volume = open_volume(path, orientation=letters)
        assert nib.aff2axcodes(volume.origin_provenance.source_geometry.to_ras_ijk()) == tuple(letters)
        np.testing.assert_allclose(volume.geometry.spacing, (2.5, 1.2, 0.8), rtol=1e-6)
        assert "place.orientation_chosen" in codes(volume)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image, nib.Nifti1Pair, nib.Nifti2Pair])
def test_single_files_and_pairs_of_both_versions(tmp_path: Path, kind: type) -> None:
    name = "a.img" if "Pair" in kind.__name__ else "a.nii"
    write(tmp_path / name, kind=kind)
    for path in tmp_path.iterdir():
        assert misplacement(open_volume(path), values(), AFFINE) < 1e-3
    assert len(scan(tmp_path).found) == 1


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(plain)
    (tmp_path / "c.nii").write_bytes(gzip.compress(plain))
    (tmp_path / "d").write_bytes(gzip.compress(plain))
    result = scan(tmp_path)
    assert len(result.found) == 4
    for found in result.found:
        assert misplacement(load(found), values(), AFFINE) < 1e-3


def test_time_series_are_4d_with_their_times(tmp_path: Path) -> None:
    data = values(np.int16, (*SHAPE, 3))
    image = nib.Nifti1Image(data, AFFINE)
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 500
    nib.save(image, tmp_path / "a.nii.gz")
    volume = open_volume(tmp_path / "a.nii.gz")
    assert volume.voxels.shape == (3, 7, 6, 5)
    assert volume.time is not None
    assert volume.time.values == (0, 0.5, 1)
    for t in range(3):
        (seen,) = np.argwhere(volume.at_time(t).voxels == data[1, 2, 3, t])
        truth = TO_LPS @ (AFFINE[:3, :3] @ (1, 2, 3) + AFFINE[:3, 3])
        np.testing.assert_allclose(volume.geometry.to_patient(seen), truth, atol=1e-3)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1, 1), (5, 6, 7, 1, 1)])
def test_flat_and_singleton_dimensions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    volume = open_volume(write(tmp_path / "a.nii", data=values(np.int16, shape)))
    assert volume.voxels.ndim == 3
    assert volume.voxels.size == np.prod(shape)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("nifti.incomplete", {"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}),
    ("nifti.incomplete", {"vox_offset": 1e7}),
    ("nifti.offset", {"vox_offset": -8}),
    ("nifti.dimensions", {"dim": [3, -5, 6, 7, 1, 1, 1, 1]}),
    ("nifti.dimensions", {"dim": [0, 5, 6, 7, 1, 1, 1, 1]}),
    ("nifti.dimensions", {"dim": [9, 5, 6, 7, 1, 1, 1, 1]}),
    ("nifti.vector", {"dim": [5, 5, 1, 7, 1, 6, 1, 1]}),
    ("nifti.datatype", {"datatype": 999}),
    ("nifti.datatype", {"datatype": 1}),
    ("nifti.not_nifti", {"magic": b"xyz"}),
    ("geometry.non_finite", {"srow_x": [np.nan, 0, 0, 0]}),
    ("geometry.singular", {"srow_x": [0, 0, 0, 0]}),
    ("nifti.qform", {"sform_code": 0, "qform_code": 1, "quatern_b": 0.9, "quatern_c": 0.9}),
    ("geometry.singular", {"sform_code": 0, "qform_code": 1, "pixdim": [1, 0, 1.2, 2.5, 1, 1, 1, 1]}),
]


@pytest.mark.parametrize(("code", "fields"), BAD)
def test_bad_headers_are_refused_before_a_voxel_is_read(tmp_path: Path, code: str, fields: dict[str, Any]) -> None:
    path = write(tmp_path / "a.nii", **fields)
    with pytest.raises(RefusedError) as caught:
        open_volume(path)
    assert caught.value.code == code
    assert "a.nii" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_huge_promises_of_a_gzip_file_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])
    path.with_suffix(".nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(RefusedError, match="promises"):
        open_volume(path.with_suffix(".nii.gz"))


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.999])
def test_cut_gzip_is_refused_while_scanning(tmp_path: Path, kept: float) -> None:
    path = write(tmp_path / "a.nii.gz", data=np.random.default_rng(0).integers(0, 999, (40, 40, 40)).astype(np.int16))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * kept)])
    (refused,) = scan(path).refused
    assert refused.code == "nifti.incomplete"
    assert "copy" in refused.reason


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz")
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(RefusedError, match="damaged") as caught:
        open_volume(path)
    assert caught.value.code == "nifti.incomplete"


def test_a_cut_plain_file_and_a_lonely_header_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:-3])
    assert scan(path).refused[0].code == "nifti.incomplete"
    write(tmp_path / "b.img", kind=nib.Nifti1Pair)
    (tmp_path / "b.img").unlink()
    assert scan(tmp_path / "b.hdr").refused[0].code == "nifti.missing_partner"


def test_values_like_hu_are_taken_for_ct_and_others_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ct = np.where(rng.random((20, 20, 20)) < 0.5, -1000, rng.integers(-100, 1200, (20, 20, 20))).astype(np.int16)
    phase = rng.integers(-4096, 4096, (20, 20, 20)).astype(np.int16)
    mr = rng.integers(0, 1500, (20, 20, 20)).astype(np.int16)
    opened = [open_volume(write(tmp_path / f"{n}.nii", data=d)) for n, d in enumerate((ct, phase, mr))]
    assert [(v.modality, v.unit) for v in opened] == [("CT", "HU"), ("OT", ""), ("OT", "")]
    assert "nifti.assumed_ct" in codes(opened[0])


def test_cancel_and_progress(tmp_path: Path) -> None:
    (found,) = scan(write(tmp_path / "a.nii.gz")).found
    seen: list[Progress] = []
    load(found, seen.append)
    assert [(p.done, p.total) for p in seen] == [(n, 7) for n in range(1, 8)]
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        load(found, cancel=token)


def test_the_window_of_the_header_is_offered(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "a.nii", cal_min=-100, cal_max=300))
    assert volume.origin_provenance.details["windows"] == ((100.0, 400.0, "From file"),)
