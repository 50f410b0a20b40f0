"""An image without known physical size shows neither mm nor letters."""

from dataclasses import replace

import numpy as np

from napari_volseg.core import Provenance
from napari_volseg.measure import segment_statistics
from napari_volseg.viewer import letters
from napari_volseg.viewer.readout import readout


def uncalibrated(volume):
    return replace(volume, provenance=Provenance("DICOM", volume.geometry, details={"uncalibrated": True}))


def test_nothing_is_told_in_mm_or_by_letters(app, viewer) -> None:
    volume = app.case.volume
    assert "mm" in readout(app.case, np.array((2.0, 3, 4)))
    assert letters(app, "axial", viewer) is not None
    app.adopt(uncalibrated(volume))
    segment = app.case.add_segment()
    text = readout(app.case, np.array((2.0, 3, 4)))
    assert text.startswith("voxel 2, 3, 4   ")
    assert "mm" not in text
    assert letters(app, "axial", viewer) is None
    app.jobs.wait(app.figures.count())
    assert app.figures.millilitres(segment.value) is None
    (row,) = segment_statistics(app.case.segmentation, app.case.volume)
    assert row.volume_ml is None
