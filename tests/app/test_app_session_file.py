from __future__ import annotations

import hashlib
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from napari_volseg.app import session_changes, session_file
from napari_volseg.app.recovery import recover
from napari_volseg.app.session_file import SessionFile, source_reference
from napari_volseg.core import (
    Box,
    BoxMask,
    Code,
    Geometry,
    GeometryError,
    LassoPrompt,
    PointPrompt,
    RefusedError,
    ScribblePrompt,
    Segment,
    Segmentation,
    SegmentTable,
    Volume,
)
from napari_volseg.editing import Author, EditSession, PromptChange, path_spheres

SHAPE = (10, 40, 40)
HAND = Author("hand", "test", "1.0")
LIVER = Segment(1, "Liver", (1, 2, 3), type=Code("10200004", "SCT", "Liver"), status="in progress")
TABLE = SegmentTable((LIVER, Segment(2, "Locked", locked=True)))
SOURCE = {"blake2b": "ab12"}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="file modes and size limits of POSIX")


def geometry() -> Geometry:
    return Geometry.from_spacing(SHAPE, (3.0, 0.8, 0.8), (0.1, -1 / 3, 7), "1.2.3.secret")


def unexpected(error: RefusedError) -> None:
    raise AssertionError(error)


def begin(path: Path, on_error: Callable[[RefusedError], None] = unexpected) -> tuple[EditSession, SessionFile]:
    labels = np.zeros(SHAPE, np.uint16)
    labels[3, 5:9, 5:9] = 2
    segmentation = Segmentation(labels, geometry(), TABLE)
    file = SessionFile.create(path, segmentation, SOURCE, on_error)
    return EditSession(segmentation, file), file


def dab(seed: int) -> BoxMask:
    center = np.random.default_rng(seed).uniform((0, 0, 0), SHAPE)
    return path_spheres(geometry(), center, center + 3, 4.0)


def work(edit: EditSession) -> None:
    """Strokes, prompts, tables, undo, redo and a redo branch that is given up."""
    lasso = LassoPrompt(((0.0, 0.5, 0.0), (1.0, 0.0, 0.1), (9.0, 1 / 7, 0.0)), positive=False)
    click = PromptChange((), (PointPrompt((1.5, 2.5, 1 / 3), positive=False), lasso))
    scribble = PromptChange(click.after, (*click.after, ScribblePrompt(((0.0, 0.0, 0.0), (1.0, 0.0, 0.1)), 2.5)))
    edit.apply(dab(0), 1, name="Click 1", author=Author("model", "regions"), prompts=click)
    edit.apply(dab(1), 1, name="Click 2", author=Author("model", "regions"), prompts=scribble)
    edit.undo()
    edit.edit_table(edit.segmentation.table.with_segment(Segment(7, "Niere äöü")), name="Add")
    stroke = edit.stroke(7, name="Brush", author=HAND, parameters={"radius_mm": 2.5, "in_3d": True})
    for seed in range(2, 6):
        stroke.add(dab(seed))
    stroke.finish()
    edit.replace(Box((0, 0, 0), (2, 9, 9)), np.full((2, 9, 9), 7), name="Model", author=HAND)
    edit.undo()
    edit.undo()
    edit.redo()


def test_a_recovered_case_is_the_one_that_was_left(tmp_path: Path) -> None:
    edit, file = begin(tmp_path / "case.volseg")
    work(edit)
    file.close()
    found = recover(file.path)
    back = found.segmentation(geometry())
    assert back.labels.dtype == edit.segmentation.labels.dtype
    assert back.labels.tobytes() == edit.segmentation.labels.tobytes()
    assert back.table == edit.segmentation.table
    assert (found.prompts, found.source) == (edit.prompts, SOURCE)
    assert len(found.prompts) == 2
    for step, kept in zip(edit.history.steps, found.steps, strict=True):
        for field in ("name", "author", "value", "box", "before", "after", "parameters", "prompts", "table", "time"):
            assert getattr(kept, field) == getattr(step, field), field


def test_a_recovered_history_goes_on(tmp_path: Path) -> None:
    edit, file = begin(tmp_path / "case.volseg")
    start = edit.segmentation.labels.copy()
    work(edit)
    file.close()
    found = recover(file.path)
    again = SessionFile.resume(file.path, unexpected)
    tight = found.history(byte_budget=found.history().nbytes - 1)
    assert tight.dropped == 1
    resumed = EditSession(found.segmentation(geometry()), again, history=tight, prompts=found.prompts)
    resumed.redo()
    resumed.undo()
    resumed.apply(dab(9), 1, name="after", author=HAND)
    again.close()
    last = recover(file.path)
    assert [s.name for s in last.steps] == ["Click 1", "Add", "Brush", "after"]
    assert np.array_equal(last.segmentation(geometry()).labels, resumed.segmentation.labels)
    everything = EditSession(last.segmentation(geometry()), history=last.history())
    everything.go_to(0)
    assert np.array_equal(everything.segmentation.labels, start)
    assert everything.segmentation.table == TABLE
    assert everything.prompts == ()


CHILD = """
import hashlib, sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from test_app_session_file import begin, work, dab, HAND
edit, file = begin(Path(sys.argv[1]))
work(edit)
file.flush()
for seed in range(20, 23):
    stroke = edit.stroke(1, name="last", author=HAND)
    stroke.add(dab(seed))
    stroke.finish()
print(hashlib.sha256(edit.segmentation.labels.tobytes()).hexdigest(), flush=True)
time.sleep(60)
"""


def run_child(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script.format(paths=[str(Path(__file__).parent)]), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_finished_a_quarter_of_a_second_ago_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "case.volseg"
    with run_child(CHILD, str(path)) as child:
        assert child.stdout is not None
        digest = child.stdout.readline().strip()
        time.sleep(0.25)
        child.kill()
    labels = recover(path).segmentation(geometry()).labels
    assert hashlib.sha256(labels.tobytes()).hexdigest() == digest


FULL_DISK = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from test_app_session_file import fill_the_disk
fill_the_disk(Path(sys.argv[1]))
"""


def fill_the_disk(path: Path) -> None:
    """Work on while no file may grow beyond 64 KiB, then with the limit gone; runs in a process of its own."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    errors: list[RefusedError] = []
    edit, file = begin(path, errors.append)
    file.flush()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    noise = np.random.default_rng(0)
    for _ in range(30):
        labels = noise.integers(0, 2, SHAPE).astype(np.uint8)
        edit.replace(Box.whole(SHAPE), labels, name="noise", author=HAND)
        written = file.flush()
    assert not written
    assert not file.healthy
    assert len(errors) == 1, "one failure is told once"
    assert str(path) in str(errors[0])
    assert len(edit.history.steps) == 30
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert file.flush()
    assert file.healthy
    file.close()
    assert np.array_equal(recover(path).segmentation(geometry()).labels, edit.segmentation.labels)
    print("worked on")


@POSIX
def test_on_a_full_disk_work_goes_on_and_is_saved_when_there_is_room(tmp_path: Path) -> None:
    with run_child(FULL_DISK, str(tmp_path / "case.volseg")) as child:
        assert child.stdout is not None
        assert child.stdout.read().strip() == "worked on"


def test_a_folder_that_can_not_be_written_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_file, "RETRY_SECONDS", 0.02)
    errors: list[RefusedError] = []
    edit, file = begin(tmp_path / "absent" / "case.volseg", errors.append)
    edit.apply(dab(0), 1, name="p", author=HAND)
    assert not file.flush()
    assert [e.code for e in errors] == ["session.unwritable"]
    (tmp_path / "absent").mkdir()
    deadline = time.monotonic() + 5
    while not file.healthy and time.monotonic() < deadline:
        time.sleep(0.01)
    file.close()
    assert np.array_equal(recover(file.path).segmentation(geometry()).labels, edit.segmentation.labels)


@POSIX
def test_only_the_owner_can_read_it_while_it_is_open(tmp_path: Path) -> None:
    edit, file = begin(tmp_path / "case.volseg")
    edit.apply(dab(0), 1, name="p", author=HAND)
    assert file.flush()
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {"case.volseg": 0o600, "case.volseg-wal": 0o600}
    file.close()


def test_it_holds_no_identifier_of_the_image(tmp_path: Path) -> None:
    edit, file = begin(tmp_path / "case.volseg")
    work(edit)
    file.close()
    assert b"secret" not in file.path.read_bytes()


def test_recording_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit, file = begin(tmp_path / "case.volseg")
    step = edit.apply(dab(0), 1, name="p", author=HAND)
    assert step is not None
    assert file.flush()
    write, may_go_on = session_changes.sealed_transaction, threading.Event()
    written: list[int] = []

    @contextmanager
    def slow(connection: sqlite3.Connection) -> Iterator[None]:
        assert may_go_on.wait(20)
        with write(connection):
            yield
        written.append(1)

    monkeypatch.setattr(session_file, "HANG_SECONDS", 60)
    monkeypatch.setattr(session_changes, "sealed_transaction", slow)
    for _ in range(100):
        file.record(step)
    assert written == [], "the disk has not answered yet"
    may_go_on.set()
    assert file.flush()
    file.close()
    assert len(recover(file.path).steps) == 101


class TestRefused:
    def code(self, path: Path) -> str:
        with pytest.raises(RefusedError) as caught:
            recover(path)
        return caught.value.code

    def test_a_file_that_exists_is_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "case.volseg").write_text("precious")
        with pytest.raises(RefusedError, match="exists"):
            begin(tmp_path / "case.volseg")
        assert (tmp_path / "case.volseg").read_text() == "precious"

    def test_absent_and_foreign_files(self, tmp_path: Path) -> None:
        assert self.code(tmp_path / "absent") == "session.absent"
        (tmp_path / "text").write_text("not a database " * 100)
        assert self.code(tmp_path / "text") == "session.damaged"
        with closing(sqlite3.connect(tmp_path / "other")) as other, other:
            other.execute("CREATE TABLE t (a)")
        before = (tmp_path / "other").read_bytes()
        assert self.code(tmp_path / "other") == "session.other_kind"
        assert (tmp_path / "other").read_bytes() == before

    def test_one_that_is_open(self, tmp_path: Path) -> None:
        _, file = begin(tmp_path / "case.volseg")
        assert file.flush()
        assert self.code(file.path) == "session.in_use"
        file.close()

    @pytest.mark.parametrize(
        ("damage", "code"),
        [
            ("PRAGMA user_version = 99", "session.newer"),
            ("UPDATE steps SET header = '{}' WHERE number = 1", "session.damaged"),
            (
                "UPDATE steps SET header = replace(header, '\"box\": [[', '\"box\": [[9') WHERE number = 1",
                "session.damaged",
            ),
            ("UPDATE meta SET value = '77' WHERE key = 'position'", "session.damaged"),
            ("DELETE FROM meta", "session.damaged"),
            ("DELETE FROM steps", "session.damaged"),
        ],
    )
    def test_damage(self, tmp_path: Path, damage: str, code: str) -> None:
        edit, file = begin(tmp_path / "case.volseg")
        edit.apply(dab(0), 1, name="p", author=HAND)
        file.close()
        with closing(sqlite3.connect(file.path)) as connection, connection:
            connection.execute(damage)
        assert self.code(file.path) == code

    def test_another_image(self, tmp_path: Path) -> None:
        _, file = begin(tmp_path / "case.volseg")
        file.close()
        with pytest.raises(GeometryError, match="does not belong"):
            recover(file.path).segmentation(Geometry.from_spacing(SHAPE, (3.0, 0.8, 0.9)))


def test_a_source_reference_knows_voxels_and_grid() -> None:
    voxels = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    one = source_reference(Volume(voxels, geometry()))
    assert source_reference(Volume(voxels.copy(), geometry())) == one
    changed = voxels.copy()
    changed[-1, -1, -1] += 1
    assert source_reference(Volume(changed, geometry())) != one
    assert source_reference(Volume(voxels, Geometry.from_spacing(SHAPE))) != one
