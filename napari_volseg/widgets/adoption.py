"""Images that come in through napari's own ways become the open case."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image
from napari.settings import get_settings
from napari.utils.events import Event
from qtpy.QtCore import QTimer

from napari_volseg.app import Application, looks_medical
from napari_volseg.core import Volume
from napari_volseg.viewer.handover import VOLUME_KEY

PLUGIN = "napari-volseg"
#: Name under which napari's own reader signs its layers.
NAPARI = "napari"
#: Files that napari's own reader claims, too, and opens without their place in the patient.
CONTESTED = ("*.nii", "*.nii.gz", "*.dcm")


def prefer_our_readers() -> None:
    """Let napari open medical images with our readers instead of asking, unless the user has chosen a reader."""
    plugins = get_settings().plugins
    wanted = dict.fromkeys(CONTESTED, PLUGIN) | plugins.extension2reader
    if wanted != plugins.extension2reader:
        plugins.extension2reader = wanted


class Adopter:
    """Takes over layers of medical images.

    Such a layer is removed and its volume becomes the open case, shown by the binding's own layers. That goes for
    layers of our readers, which carry their volume, and for NIfTI and DICOM that napari's own reader opened
    without their place in the patient, which are read anew. Of several that arrive together the first is taken;
    the others stay, hidden.

    Parameters
    ----------
    app
        Whose case it becomes.
    viewer
        Where layers arrive.
    """

    def __init__(self, app: Application, viewer: ViewerModel) -> None:
        self._app = app
        self._viewer = viewer
        self._arrived: list[Image] = []
        viewer.layers.events.inserted.connect(self._notice)

    def stop(self) -> None:
        """Leave layers alone from now on."""
        self._viewer.layers.events.inserted.disconnect(self._notice)

    def _notice(self, event: Event) -> None:
        layer = event.value
        if not isinstance(layer, Image) or not (_carries_volume(layer) or _lost_its_place(layer)):
            return
        if not self._arrived:
            QTimer.singleShot(0, self._adopt)
        self._arrived.append(layer)

    def _adopt(self) -> None:
        first, *others = self._arrived
        self._arrived = []
        for layer in others:
            layer.visible = False
        if first not in self._viewer.layers:
            return
        self._viewer.layers.remove(first)
        if _carries_volume(first):
            self._app.open_volume(first.metadata[VOLUME_KEY])
        else:
            self._app.open_path(Path(first.source.path))


def _carries_volume(layer: Image) -> bool:
    return isinstance(layer.metadata.get(VOLUME_KEY), Volume)


def _lost_its_place(layer: Image) -> bool:
    source = layer.source
    return source.reader_plugin == NAPARI and bool(source.path) and looks_medical(Path(source.path))
