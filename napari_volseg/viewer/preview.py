"""The layer of an image that is still being read; it becomes that of the case."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Image

from napari_volseg.app.preview import Sight
from napari_volseg.core import Volume, Window
from napari_volseg.viewer.layers import image_layer


class PreviewLayer:
    """Shows what has arrived of an image, beginning with the slice that is there and nearest to the middle.

    Parameters
    ----------
    sight
        The image.
    window
        How it is shown.
    """

    def __init__(self, sight: Sight, window: Window) -> None:
        self.arriving = sight.arriving
        self.image: Image = image_layer(self.arriving.volume, window, sight.values)
        self._position: tuple[int, ...] = ()

    def shows(self, volume: Volume) -> bool:
        """Whether the layer shows the memory of a volume."""
        return self.arriving.is_filled_for(volume.voxels)

    def go_on(self, viewer: ViewerModel) -> None:
        """Draw what has arrived; go on to the middle once it has, unless the user has gone elsewhere."""
        if self._position in ((), viewer.dims.current_step) and self._position != self.arriving.best:
            viewer.dims.set_current_step(range(3), self.arriving.best)
            self._position = viewer.dims.current_step
        self.image.refresh(thumbnail=False, highlight=False, extent=False)
