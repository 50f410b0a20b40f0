"""A scan that remembers finds what one that reads finds, and never believes what is no longer so."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import zlib

import pytest
from dicom_corpus import ROWS
from dicom_factory import Recipe, setting, write_series

from napari_volseg.formats import load, registry, remembering, scan


class Memory(dict):
    def put(self, key, content):
        self[key] = content


def age(folder, seconds=1000):
    """Make files older than the clock is coarse."""
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns - seconds * 10**9))


@pytest.fixture
def reads(monkeypatch):
    """Names of files that were read."""
    names = []
    examine = registry._examine
    monkeypatch.setattr(registry, "_examine", lambda file: names.append(file.name) or examine(file))
    return names


def told(what):
    """Everything of it but where in memory it lies, types included."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(what))


def sources(result):
    return [volume.source for volume in result.found]


@pytest.mark.parametrize("name", ROWS)
def test_the_corpus_is_found_the_same(tmp_path, name):
    ROWS[name].make(tmp_path)
    age(tmp_path)
    memory, plain = Memory(), scan(tmp_path)
    for _ in range(2):
        again = scan(tmp_path, memory=memory)
        assert again == plain
        assert sources(again) == sources(plain)
        assert told(again) == told(plain)
        assert told(sources(again)) == told(sources(plain))


def test_files_as_they_were_are_not_read(tmp_path, reads):
    write_series(tmp_path)
    age(tmp_path)
    memory = Memory()
    scan(tmp_path, memory=memory)
    assert len(reads) == 7
    (found,) = scan(tmp_path, memory=memory).found
    assert len(reads) == 7
    assert load(found).voxels.shape == (7, 12, 9)
    assert not any(b"IM000" in blob for blob in memory.values())


def test_weight_and_dose_of_a_patient_are_not_kept(tmp_path):
    write_series(tmp_path, Recipe().also(setting(Modality="PT", PatientWeight=71.25, Units="BQML")))
    age(tmp_path)
    memory = Memory()
    scan(tmp_path, memory=memory)
    assert not memory


def test_a_file_changed_in_place_is_read_anew(tmp_path, reads):
    memory = Memory()
    paths = write_series(tmp_path, Recipe().also(setting(SeriesDescription="old")))
    age(tmp_path)
    scan(tmp_path, memory=memory)
    write_series(tmp_path, Recipe().also(setting(SeriesDescription="new")))
    age(tmp_path, 500)
    reads.clear()
    (found,) = scan(tmp_path, memory=memory).found
    assert sorted(reads) == sorted(path.name for path in paths)
    assert found.description == "new"


def test_a_file_that_may_still_be_written_is_not_remembered(tmp_path):
    write_series(tmp_path)
    memory = Memory()
    scan(tmp_path, memory=memory)
    assert memory == {}


def signed(content):
    packed = zlib.compress(content)
    return hashlib.blake2b(packed, digest_size=16).digest() + packed


DAMAGES = {
    "cut": lambda blob: blob[:-9],
    "empty": lambda blob: b"",
    "changed": lambda blob: blob[:40] + bytes([blob[40] ^ 1]) + blob[41:],
    "foreign": lambda blob: b"x" * 99,
    "signed": lambda blob: signed(b"[1]"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_read_over(tmp_path, reads, damage):
    write_series(tmp_path)
    age(tmp_path)
    memory = Memory()
    plain = scan(tmp_path, memory=memory)
    memory.update({key: damage(blob) for key, blob in memory.items()})
    assert scan(tmp_path, memory=memory).found == plain.found
    assert len(reads) == 14


def test_another_reader_does_not_believe(tmp_path, reads, monkeypatch):
    write_series(tmp_path)
    age(tmp_path)
    memory = Memory()
    scan(tmp_path, memory=memory)
    monkeypatch.setattr(remembering, "reader_version", lambda: "another")
    scan(tmp_path, memory=memory)
    assert len(reads) == 14


def test_one_file_of_a_folder_leaves_the_others_remembered(tmp_path, reads):
    paths = write_series(tmp_path)
    age(tmp_path)
    memory = Memory()
    scan(tmp_path, memory=memory)
    os.utime(paths[0], (5, 5))
    scan(paths[0], memory=memory)
    reads.clear()
    scan(tmp_path, memory=memory)
    assert reads == []


def test_every_field_is_kept():
    assert {*remembering._COLUMNS, "path"} == {f.name for f in dataclasses.fields(remembering.Instance)}
