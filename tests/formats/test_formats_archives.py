"""Zip archives are opened, and nothing of them is written or read outside of the folder given for them."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import Recipe, write_series

from napari_volseg.core import CancelledError, CancelToken, Segment, Segmentation, SegmentTable, no_progress
from napari_volseg.formats import archives, load, load_labels, open_volume, save_dicom_seg, scan

BASE = Recipe()


@pytest.fixture
def room(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "room"
    folder.mkdir(parents=True)
    return folder


def zipped(path: Path, entries: dict[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def study(tmp_path: Path) -> Path:
    paths = write_series(tmp_path / "plain", BASE)
    return zipped(tmp_path / "study.zip", {f"DICOM/CT 1/{p.name}": p.read_bytes() for p in paths})


def outside(tmp_path: Path) -> set[Path]:
    return {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "outer" / "room")}


def codes(path: Path, room: Path) -> dict[str, str]:
    return {refused.path.name: refused.code for refused in scan(path, room=room).refused}


def test_a_study_in_an_archive_is_the_study(tmp_path: Path, room: Path) -> None:
    path = study(tmp_path)
    plain, ours = open_volume(tmp_path / "plain"), open_volume(path, room=room)
    assert np.array_equal(ours.voxels, plain.voxels)
    assert ours.geometry == plain.geometry
    assert ours.provenance.archive == path
    assert all(source.is_relative_to(room) for source in ours.provenance.paths)


def test_a_segmentation_is_exported_from_an_archive(tmp_path: Path, room: Path) -> None:
    volume = open_volume(study(tmp_path), room=room)
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1:3, 2:5, 3:8] = 1
    meant = Segmentation(labels, volume.geometry, SegmentTable((Segment(1, "Liver"),)))
    written = save_dicom_seg(tmp_path / "seg.dcm", meant, volume)
    assert np.array_equal(load_labels(written, open_volume(tmp_path / "plain")).labels, labels)


def test_nifti_in_an_archive_is_opened_and_paths_of_windows_are_folders(tmp_path: Path, room: Path) -> None:
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([2.0, 2, 3, 1]))
    path = zipped(tmp_path / "image.zip", {"./a\\b\\ct.nii": image.to_bytes(), "readme.txt": b"hello"})
    volume = open_volume(path, room=room)
    assert np.array_equal(volume.voxels.ravel().sum(), np.arange(60).sum())
    assert volume.provenance.paths[0].relative_to(room).parts[1:] == ("a", "b", "ct.nii")


@pytest.mark.parametrize(
    "name",
    ["../evil.nii", "a/../../evil.nii", "/evil.nii", "..\\evil.nii", "C:/evil.nii", "c:evil.nii", "a//b.nii",
     "a/./b.nii", ".. /evil.nii", "a\nb.nii", "x" * 300 + ".nii", "x/" * 1500 + "a.nii"],
)  # fmt: skip
def test_no_name_leads_outside(tmp_path: Path, room: Path, name: str) -> None:
    path = zipped(tmp_path / "evil.zip", {name: b"evil"})
    before = outside(tmp_path)
    (refused,) = scan(path, room=room).refused
    assert refused.code == "archive.outside"
    assert outside(tmp_path) == before
    assert not [p for p in room.rglob("*") if p.is_file()]


def test_a_name_that_ends_early_is_none(tmp_path: Path, room: Path) -> None:
    path = zipped(tmp_path / "evil.zip", {"evil.nii!.txt": b"evil"})
    path.write_bytes(path.read_bytes().replace(b"evil.nii!.txt", b"evil.nii\0.txt"))
    assert [refused.code for refused in scan(path, room=room).refused] == ["archive.outside"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_left_out(tmp_path: Path, room: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("link.nii")
    entry.external_attr = (kind | 0o777) << 16
    path = zipped(tmp_path / "links.zip", {entry: b"/etc/passwd", "link.nii/x.nii": b"through"})
    assert codes(path, room)["link.nii"] == "archive.not_a_file"
    assert not any(p.is_symlink() for p in room.rglob("*"))


def test_what_can_not_be_taken_is_told_and_the_rest_opened(tmp_path: Path, room: Path) -> None:
    path = study(tmp_path)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x", b"x")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.zip", inner.getvalue())
        archive.writestr("twice.txt", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("twice.txt", b"two")
        archive.writestr("TWICE.TXT", b"three")
        archive.writestr("twice.txt/file.txt", b"four")
    result = scan(path, room=room)
    assert len(result.found) == 1
    told = [(refused.path, refused.code) for refused in result.refused]
    assert told == [
        (path / "more.zip", "archive.nested"),
        (path / "twice.txt", "archive.duplicate"),
        (path / "TWICE.TXT", "archive.duplicate"),
        (path / "file.txt", "archive.duplicate"),
    ]
    (one,) = room.rglob("twice.txt")
    assert one.read_bytes() == b"one"


def test_encrypted_entries_are_told(tmp_path: Path, room: Path) -> None:
    path = zipped(tmp_path / "secret.zip", {"ct.nii": b"secret"})
    raw = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(magic) + at] |= 1
    path.write_bytes(raw)
    assert codes(path, room) == {"ct.nii": "archive.encrypted"}


def test_damaged_bytes_are_told_and_leave_nothing(tmp_path: Path, room: Path) -> None:
    path = zipped(tmp_path / "hurt.zip", {"ct.nii": b"0123456789" * 9}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780", 1))
    assert codes(path, room) == {"ct.nii": "archive.damaged"}
    assert not [p for p in room.rglob("*") if p.is_file()]


@pytest.mark.parametrize("claimed", [10, 1 << 20])
def test_a_size_that_is_a_lie_is_found_out(tmp_path: Path, room: Path, claimed: int) -> None:
    path = zipped(tmp_path / "lie.zip", {"ct.nii": b"\0" * 5000})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, raw.index(b"PK\x01\x02") + 24, claimed)
    path.write_bytes(raw)
    assert codes(path, room) == {"ct.nii": "archive.damaged"}
    assert not [p for p in room.rglob("*") if p.is_file()]


def test_bombs_are_refused_before_a_byte_is_written(
    tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "SMALL_BYTES", 1000)
    path = zipped(tmp_path / "bomb.zip", {"ct.nii": b"\0" * 10_000_000})
    result = scan(path, room=room)
    assert [refused.code for refused in result.refused] == ["archive.too_large"]
    assert "times its size" in result.refused[0].reason
    assert not [p for p in room.rglob("*") if p.is_file()]


def test_sizes_beyond_32_bits_are_added_up(tmp_path: Path, room: Path) -> None:
    path = zipped(tmp_path / "vast.zip", {f"{n}.nii": b"\0" * 100 for n in range(40)}, zipfile.ZIP_STORED)
    raw = path.read_bytes()
    start = raw.index(b"PK\x01\x02")
    central = bytearray(raw[start:])
    at = 0
    while (at := central.find(b"PK\x01\x02", at)) >= 0:
        struct.pack_into("<I", central, at + 24, 0xFFFFFFF0)
        at += 4
    path.write_bytes(raw[:start] + central)
    (refused,) = scan(path, room=room).refused
    assert refused.code == "archive.too_large"
    assert str(40 * 0xFFFFFFF0) in refused.reason


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path, room: Path) -> None:
    path = zipped(tmp_path / "shared.zip", {f"{n}.nii": os.urandom(900) for n in range(2)}, zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<II", raw, second + 20, 5000, 5000)
    path.write_bytes(raw)
    assert "share the same bytes" in scan(path, room=room).refused[0].reason


def test_a_full_disk_is_told_before_it_is_full(tmp_path: Path, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = study(tmp_path)
    usage = archives.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage._replace(free=100))
    assert [refused.code for refused in scan(path, room=room).refused] == ["archive.too_large"]


@pytest.mark.parametrize("content", [b"PK", b"PK\x03\x04" + b"\0" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_archive_is_refused(tmp_path: Path, room: Path, content: bytes) -> None:
    path = tmp_path / "broken.zip"
    path.write_bytes(content)
    result = scan(path, room=room)
    assert not result.found
    assert [refused.code for refused in result.refused] == ["archive.damaged"]


def test_archives_on_the_way_stay_closed_and_so_do_all_without_a_room(tmp_path: Path, room: Path) -> None:
    path = study(tmp_path)
    for result in (scan(tmp_path, room=room), scan(path)):
        assert [refused.code for refused in result.refused] == ["archive.closed"]
    assert not list(room.iterdir())


def test_unpacking_again_inflates_nothing_and_cancelling_leaves_no_half_file(tmp_path: Path, room: Path) -> None:
    path = study(tmp_path)
    token = CancelToken()
    with pytest.raises(CancelledError):
        archives.unpack(path, room, lambda progress: token.cancel(), token)
    assert not list(room.rglob("..part"))
    first = archives.unpack(path, room, no_progress)
    before = [file.stat().st_mtime_ns for file in first.files]
    again = archives.unpack(path, room, no_progress)
    assert again == first
    assert [file.stat().st_mtime_ns for file in again.files] == before
    assert stat.S_IMODE(first.folder.stat().st_mode) == 0o700


def test_a_room_that_was_removed_is_not_made_again(tmp_path: Path, room: Path) -> None:
    path = study(tmp_path)
    (found,) = scan(path, room=room).found
    archives.shutil.rmtree(room)
    assert [refused.code for refused in scan(path, room=room).refused] == ["archive.disk"]
    assert not room.exists()
    with pytest.raises(Exception, match=r"can't be read|changed|No such file|gone"):
        load(found)
