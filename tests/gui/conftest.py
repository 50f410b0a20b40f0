"""Windows of the program in their own, empty surroundings."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.widgets import delete_closed_windows, window

SHAPE = (24, 30, 20)


@pytest.fixture(scope="session", autouse=True)
def own_surroundings(tmp_path_factory):
    """Keep settings of napari and work on images away from the user's."""
    folder = tmp_path_factory.mktemp("surroundings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("NAPARI_CONFIG", str(folder / "settings.yaml"))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_view():
    """Let windows begin with one view, for most tests look at one canvas; those of further views ask for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "ROOM_FOR_FOUR", (10**6, 10**6))
        yield


@pytest.fixture(scope="session", autouse=True)
def windows_gone_before_the_exit(qapp):
    """Delete every window while Python, Qt and OpenGL are whole: at the exit they go in any order, or crash it."""
    yield
    delete_closed_windows()


@pytest.fixture
def image_file(tmp_path):
    """A NIfTI file that looks like a CT: air, soft tissue with random values of its own, and bone."""
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[4:20, 5:25, 4:16] = np.random.default_rng().integers(20, 60, (16, 20, 12))
    voxels[14:18, 10:20, 8:12] = 300
    path = tmp_path / "study" / "chest.nii.gz"
    path.parent.mkdir()
    image = nib.Nifti1Image(voxels, np.diag([-2.0, -2.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path
