"""What happens to the work where folders fail, two windows meet, or programs end in the middle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_volseg.app import Application, SessionStore, run_command, session_changes, session_file
from napari_volseg.app.filesystems import Mount, is_shared
from napari_volseg.app.recovery import recover
from napari_volseg.app.session_database import connect
from napari_volseg.core import Geometry, Volume

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes, mounts and limits of POSIX")


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(5).integers(-100, 100, (6, 20, 24)).astype(np.int16)
    return Volume(voxels, Geometry.from_spacing(voxels.shape, (4, 2, 2)), "CT", "HU", "HU", "secret name")


class Windows:
    """Opens windows, without a window, on sessions of one folder, with a spare one."""

    def __init__(self, folder: Path, volume: Volume) -> None:
        self.home, self.spare, self.volume = folder / "home", folder / "spare", volume
        self.opened: list[Application] = []

    def open(self) -> Application:
        app = Application(sessions=SessionStore(self.home, (self.spare,)))
        app.told = []
        app.noticed.connect(lambda notice: app.told.append(notice.text))
        self.opened.append(app)
        app.jobs.wait(app.open_volume(self.volume))
        return app

    def close(self) -> None:
        for app in self.opened:
            app.close()
        self.opened.clear()


@pytest.fixture
def windows(tmp_path: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_file, "RETRY_SECONDS", 0.05)
    windows = Windows(tmp_path, volume)
    yield windows
    windows.close()


def paint(app: Application, *index: int) -> None:
    app.tools.tool = "brush"
    app.painter.press(np.array(index, float), 0)
    app.painter.release()


def pump(app: Application, until, seconds: float = 5.0) -> float:
    """Run what writing threads posted until something is true; return how long that took."""
    begun = time.monotonic()
    while not until():
        app.jobs.inbox.pump(0.01)
        assert time.monotonic() - begun < seconds, f"in vain; told: {app.told}"
    return time.monotonic() - begun


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


class TestAFolderThatFails:
    def test_one_that_vanishes_is_told_within_a_second_and_work_is_kept_elsewhere(self, windows):
        app = windows.open()
        paint(app, 3, 10, 10)
        assert app._journal.flush()
        shutil.rmtree(windows.home)
        paint(app, 3, 5, 20)
        assert pump(app, lambda: app.told) < 1.0
        assert str(windows.home) in app.told[0]
        assert str(windows.spare) in app.told[1]
        paint(app, 2, 4, 4)
        assert app._journal.flush(), "it goes on in the spare folder"
        (spare,) = windows.spare.glob("*.volseg")
        labels = app.case.segmentation.labels.copy()
        history = [step.name for step in app.case.session.history.steps]
        windows.close()
        assert spare.stat().st_mode & 0o077 == 0
        again = windows.open()
        assert np.array_equal(again.case.segmentation.labels, labels)
        assert [step.name for step in again.case.session.history.steps] == history
        assert names(windows.spare) == []
        assert len(list(windows.home.glob("*.volseg"))) == 1

    def test_one_that_comes_back_holds_every_step_once_and_the_spare_one_goes(self, windows):
        app = windows.open()
        paint(app, 3, 10, 10)
        assert app._journal.flush()
        away = windows.home.with_name("away")
        windows.home.rename(away)
        paint(app, 3, 5, 20)
        pump(app, lambda: len(app.told) == 2)
        paint(app, 2, 4, 4)
        away.rename(windows.home)
        pump(app, lambda: any("saved again" in text for text in app.told))
        assert names(windows.spare) == []
        steps = len(app.case.session.history.steps)
        labels = app.case.segmentation.labels.copy()
        windows.close()
        found = recover(next(windows.home.glob("*.volseg")))
        assert len(found.steps) == steps
        assert np.array_equal(found.labels, labels)

    def test_what_is_being_painted_meanwhile_is_no_half_step(self, windows):
        app = windows.open()
        paint(app, 3, 10, 10)
        assert app._journal.flush()
        shutil.rmtree(windows.home)
        paint(app, 3, 5, 20)
        app.painter.press(np.array((2.0, 10, 10)), 0)
        pump(app, lambda: len(app.told) == 2)
        app.painter.move(np.array((2.0, 10, 20)))
        app.painter.release()
        labels, count = app.case.segmentation.labels.copy(), len(app.case.session.history.steps)
        app.undo()
        app.redo()
        windows.close()
        again = windows.open()
        assert np.array_equal(again.case.segmentation.labels, labels)
        again.case.session.go_to(0)
        assert not again.case.segmentation.labels.any()
        assert len(again.case.session.history.steps) == count

    def test_one_that_can_not_be_made_has_its_work_elsewhere(self, windows):
        windows.home.write_text("in the way")
        app = windows.open()
        assert str(windows.spare) in app.told[0]
        paint(app, 3, 10, 10)
        windows.close()
        windows.home.unlink()
        again = windows.open()
        assert again.case.segmentation.labels[3, 10, 10] == 1
        assert names(windows.spare) == []

    def test_a_spare_folder_that_fails_as_well_leaves_work_in_memory_and_is_told(self, windows):
        windows.spare.write_text("in the way")
        app = windows.open()
        paint(app, 3, 10, 10)
        assert app._journal.flush()
        shutil.rmtree(windows.home)
        paint(app, 3, 5, 20)
        pump(app, lambda: app.told)
        assert "goes on in memory" in app.told[0]
        assert not app._journal.flush()
        assert app.case.segmentation.labels[3, 5, 20] == 1

    def test_a_session_that_came_back_is_not_replaced_by_a_spare_one_that_holds_less(self, windows):
        app = windows.open()
        paint(app, 3, 10, 10)
        app._journal.flush()
        (home,) = windows.home.glob("*.volseg")
        windows.spare.mkdir()
        paint(app, 3, 5, 20)
        windows.close()
        shutil.copy(home, windows.spare / home.name)
        again = windows.open()
        paint(again, 2, 4, 4)
        windows.close()
        shutil.copy(home, windows.home / "later")
        last = windows.open()
        assert last.case.segmentation.labels[2, 4, 4] == 1
        assert names(windows.spare) == []
        assert not list(windows.home.glob("*-2.volseg"))


@POSIX
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="mounting takes root")
def test_a_disk_that_is_really_full_is_told_with_its_path_and_work_goes_on_elsewhere(windows):
    windows.home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k,mode=700", "tmpfs", str(windows.home)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let a file system be mounted")
    try:
        app = windows.open()
        rng = np.random.default_rng(0)
        app.case.add_segment()
        for step in range(200):
            app.case.session.replace(
                app.case.mask_of(0).box,
                rng.integers(0, 2, app.case.segmentation.labels.shape),
                name=f"noise {step}",
                author=app.case.session.history.steps[0].author,
            )
            app._journal.flush()
            app.jobs.inbox.pump()
        assert "full" in app.told[0]
        assert str(windows.home) in app.told[0]
        labels = app.case.segmentation.labels.copy()
        windows.close()
    finally:
        subprocess.run(["umount", str(windows.home)], check=True)
    again = windows.open()
    assert np.array_equal(again.case.segmentation.labels, labels)
    assert len(again.case.session.history.steps) == 201


@POSIX
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="mounting takes root")
def test_a_folder_that_is_read_only_is_told_within_a_second_and_work_is_kept_elsewhere(windows):
    windows.home.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(windows.home)], capture_output=True
    ).returncode:
        pytest.skip("this machine does not let a file system be mounted")
    try:
        app = windows.open()
        assert pump(app, lambda: len(app.told) == 2) < 1.0
        assert str(windows.home) in app.told[0]
        assert "ead-only" in app.told[0]
        assert str(windows.spare) in app.told[1]
        paint(app, 3, 10, 10)
        windows.close()
    finally:
        subprocess.run(["umount", str(windows.home)], check=True)
    assert windows.open().case.segmentation.labels[3, 10, 10] == 1


DAY = """
import sys
from pathlib import Path
import numpy as np
from napari_volseg.app import Application, SessionStore
app = Application(sessions=SessionStore())
app.noticed.connect(lambda notice: None)
app.open_path(Path(sys.argv[1]))
app.jobs.wait()
app.tools.tool = "brush"
app.painter.press(np.array((5.0, 10, 10)), 0)
app.painter.release()
app.jobs.wait(app.export("nifti", Path(sys.argv[2])))
app.close()
"""


def test_no_name_of_a_patient_is_left_in_logs_settings_or_lists(tmp_path):
    import nibabel

    home, data = tmp_path / "home", tmp_path / "Mustermann^Erika"
    home.mkdir()
    data.mkdir()
    image = nibabel.Nifti1Image(np.random.default_rng(1).integers(-99, 99, (20, 20, 10)).astype(np.int16), np.eye(4))
    image.header["descrip"] = b"Mustermann^Erika"
    nibabel.save(image, data / "Mustermann.nii.gz")
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("DATA", "CACHE", "CONFIG", "STATE")}
    done = subprocess.run(
        [sys.executable, "-c", DAY, str(data / "Mustermann.nii.gz"), str(data / "out.nii.gz")],
        env={**os.environ, **folders, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    written = [p for p in home.rglob("*") if p.is_file()]
    assert any(p.suffix == ".volseg" for p in written)
    for path in written:
        assert b"ustermann" not in path.read_bytes() + str(path).encode(), path
    assert "ustermann" not in done.stdout + done.stderr


class TestTwoWindows:
    def test_the_second_goes_on_with_a_branch(self, windows):
        first = windows.open()
        paint(first, 3, 10, 10)
        assert first._journal.flush()
        second = windows.open()
        assert "open in another program" in second.told[0]
        assert second.case.segmentation.labels[3, 10, 10] == 1
        paint(second, 2, 4, 4)
        paint(first, 3, 5, 20)
        second.undo()
        second.undo()
        assert not second.case.segmentation.labels.any()
        second.redo()
        second.redo()
        windows.close()
        again = windows.open()
        assert again.case.segmentation.labels[3, 5, 20] == 1
        assert again.case.segmentation.labels[2, 4, 4] == 0
        assert "Other session" in again.told[0]
        run_command(again, "session.other")
        again.jobs.wait()
        assert again.case.segmentation.labels[2, 4, 4] == 1
        assert again.case.segmentation.labels[3, 5, 20] == 0
        run_command(again, "session.other")
        again.jobs.wait()
        assert again.case.segmentation.labels[3, 5, 20] == 1

    def test_a_damaged_session_does_not_hide_the_one_that_replaced_it(self, windows):
        app = windows.open()
        paint(app, 3, 10, 10)
        windows.close()
        (file,) = windows.home.glob("*.volseg")
        file.write_bytes(b"rubbish" * 100)
        replaced = windows.open()
        paint(replaced, 2, 4, 4)
        windows.close()
        again = windows.open()
        assert again.case.segmentation.labels[2, 4, 4] == 1
        assert "not a readable session file" in again.told[0]
        assert file.read_bytes().startswith(b"rubbish")


CRASH = """
import os, sys
sys.path[:0] = {paths!r}
from test_app_durability import crash
from pathlib import Path
crash(Path(sys.argv[1]))
"""


def crash(folder: Path) -> None:
    """Work and end without a word; runs in a process of its own."""
    voxels = np.random.default_rng(5).integers(-100, 100, (6, 20, 24)).astype(np.int16)
    volume = Volume(voxels, Geometry.from_spacing(voxels.shape, (4, 2, 2)), "CT", "HU", "HU", "secret name")
    app = Windows(folder, volume).open()
    paint(app, 3, 10, 10)
    app._journal.flush()
    os._exit(9)


def test_after_a_crash_work_is_there_and_that_is_told_once(windows, tmp_path):
    child = [sys.executable, "-c", CRASH.format(paths=[str(Path(__file__).parent)]), str(tmp_path)]
    assert subprocess.run(child, timeout=120).returncode == 9
    app = windows.open()
    assert app.told == ["The program ended unexpectedly: your work on this image was restored (2 steps)"]
    assert app.case.segmentation.labels[3, 10, 10] == 1
    windows.close()
    assert windows.open().told == ["Your work on this image was restored (2 steps)"]


class TestView:
    def test_it_is_there_again(self, windows):
        app = windows.open()
        app.case.add_segment("one")
        app.case.add_segment("two")
        app.case.active = 1
        app.view.plane, app.view.index = "sagittal", (2, 7, 9)
        app.view.window = app.case.windows()["lung"]
        app.tools.tool, app.tools.radius_mm = "eraser", 3.5
        windows.close()
        again = windows.open()
        assert (again.view.plane, again.view.index, again.view.window.name) == ("sagittal", (2, 7, 9), "Lung")
        assert (again.tools.tool, again.tools.radius_mm, again.case.active) == ("navigate", 3.5, 1)

    def test_it_is_written_when_it_has_come_to_rest_and_not_with_every_slice(self, windows, monkeypatch):
        monkeypatch.setattr(session_file, "VIEW_SECONDS", 0.2)
        written = []
        put = session_changes.put_fact
        monkeypatch.setattr(session_changes, "put_fact", lambda c, k, v: (written.append(k), put(c, k, v)))
        app = windows.open()
        for slice_ in range(6):
            app.view.index = (slice_, 0, 0)
        start = time.monotonic()
        while "view" not in written and time.monotonic() - start < 20:
            time.sleep(0.05)
        time.sleep(0.4)
        assert written.count("view") == 1

    def test_nonsense_is_left_aside(self, windows):
        app = windows.open()
        app._journal.keep_view({"plane": "upwards", "index": [99, -4], "window": "wide", "tool": 7, "active": 12})
        app.case.add_segment()
        windows.close()
        again = windows.open()
        assert again.view.index is None
        assert again.tools.tool == "navigate"
        assert again.case.active == 1


class TestShares:
    MOUNTS = (
        Mount("/", "ext4"),
        Mount("/mnt", "tmpfs"),
        Mount("/mnt/pacs", "nfs4"),
        Mount("/mnt/pacs/local", "xfs"),
        Mount("/home", "fuse.sshfs"),
        Mount("/over", "cifs"),
        Mount("/over", "ext4"),
    )

    @pytest.mark.parametrize(
        ("path", "shared"),
        [
            ("/data/case", False),
            ("/mnt/x", False),
            ("/mnt/pacs/a/b.volseg", True),
            ("/mnt/pacsx/b.volseg", False),
            ("/mnt/pacs/local/b", False),
            ("/home/me/b", True),
            ("/over/b", False),
        ],
    )
    @POSIX
    def test_are_known_by_their_file_system(self, path, shared):
        assert is_shared(Path(path), self.MOUNTS) is shared

    def test_a_remote_drive_of_windows_is_one(self):
        assert is_shared(Path.cwd(), [Mount(Path.cwd().anchor, "NTFS", "rw,remote")])

    def test_get_a_rollback_journal_and_a_disk_of_ones_own_gets_write_ahead(self, windows, monkeypatch):
        app = windows.open()
        paint(app, 3, 10, 10)
        windows.close()
        (file,) = windows.home.glob("*.volseg")
        for shared, mode in ((True, "delete"), (False, "wal")):
            monkeypatch.setattr("napari_volseg.app.session_database.is_shared", lambda _, shared=shared: shared)
            connection = connect(file)
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == mode
            connection.close()
            assert len(recover(file).steps) == 2
