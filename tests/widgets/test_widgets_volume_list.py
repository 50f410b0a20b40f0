import nibabel as nib
import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_volseg.formats import scan
from napari_volseg.widgets.volume_list import VolumeListModel


@pytest.fixture
def nowhere(tmp_path):
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nib.save(image, tmp_path / "nowhere.nii")
    return tmp_path / "nowhere.nii"


def test_the_list_tells_once_what_opening_will_ask(nowhere):
    model = VolumeListModel()
    result = scan(nowhere)
    model.show_scan(result)
    tooltip = model.data(model.index(0), Qt.ItemDataRole.ToolTipRole)
    (decision,) = result.found[0].decisions
    assert f"You will be asked: {decision.question}" in tooltip
    assert tooltip.count(decision.question) == 1
