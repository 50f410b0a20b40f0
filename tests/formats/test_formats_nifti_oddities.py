"""The catalogue of NIfTI and Analyze oddities (N1 to N44), each file generated from its recipe.

A file that opens puts every bead within 1e-3 mm of where it was meant, with its exact value, and tells what the row
demands; a file that doesn't is refused by a code, or asks.
"""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nifti_corpus import (
    AFFINE,
    ASKS,
    BEADS,
    OPENS,
    REFUSED,
    TO_LPS,
    UNORIENTED,
    Recipe,
    beads,
    flat,
    large_integers,
    noisy,
    not_numbers,
    turned,
    two_times,
    with_dicom_extension,
)

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

# -- R and W: opens in the right place with exact values ----------------------------------------------------------


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
    volume = open_volume(two_times().write(tmp_path))
    assert volume.voxels.shape[0] == 2
    assert bead_error(volume.at_time(0), AFFINE) < 1e-3
    assert bead_error(volume.at_time(1), AFFINE, scale=2) < 1e-3


def test_n23_large_integers_are_exact(tmp_path: Path) -> None:
    assert int(open_volume(large_integers().write(tmp_path)).voxels.max()) == 2**53 + 1


@pytest.mark.parametrize("third", [2.5, 0])
def test_n27_a_flat_image_is_one_slice(tmp_path: Path, third: float) -> None:
    volume = open_volume(flat(third).write(tmp_path))
    (seen,) = np.argwhere(volume.voxels == 70)
    assert volume.voxels.shape == (1, 8, 9)
    np.testing.assert_allclose(volume.geometry.to_patient(seen), TO_LPS @ (AFFINE @ (7, 2, 0, 1))[:3], atol=1e-3)


def test_n41_voxels_that_are_no_numbers_stay_and_are_not_counted(tmp_path: Path) -> None:
    volume = open_volume(not_numbers().write(tmp_path))
    assert bead_error(volume, AFFINE) < 1e-3
    assert np.isnan(volume.voxels).sum() == np.isinf(volume.voxels).sum() == 1
    table = SegmentTable((Segment(1, "All"),))
    everything = Segmentation(np.ones(volume.voxels.shape, np.uint8), volume.geometry, table)
    (measured,) = segment_statistics(everything, volume)
    assert measured.mean == pytest.approx(sum(BEADS.values()) / (volume.voxels.size - 2))


# -- A: asks, and either answer puts the beads where it says -------------------------------------------------------


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
