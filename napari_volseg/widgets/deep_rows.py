"""How the 3D view is looked at: how the image is drawn, from which side, and where it is cut open."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from napari_volseg.app import Application, run_command
from napari_volseg.app.deep_commands import CUTS, SIDE_WORDS
from napari_volseg.app.renderings import RENDERINGS, rendering_of
from napari_volseg.app.wishes import Cut
from napari_volseg.widgets.buttons import CommandButton
from napari_volseg.widgets.section import joined

CUT_TEXTS: dict[Cut, str] = {"nothing": "None", "axial": "Axial", "coronal": "Coronal", "sagittal": "Sagittal"}


class DeepRows:
    """The rows.

    Parameters
    ----------
    app
        Whose case is shown.

    Attributes
    ----------
    rows
        One widget below the other; hidden unless the 3D view is in hand.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        image = CommandButton(app, "view.image-3d", checked=lambda app: app.view.image_in_3d)
        self.rendering = QComboBox()
        self.rendering.setObjectName("rendering")
        self.rendering.setAccessibleName("How the image is drawn in 3D")
        self.rendering.activated.connect(self._draw)
        sides = [CommandButton(app, f"view.from-{side}", letter) for side, (_, letter) in SIDE_WORDS.items()]
        cuts = [CommandButton(app, f"view.cut-{cut}", CUT_TEXTS[cut], partial(_is_cut, cut)) for cut in CUTS]
        self._buttons = [image, *sides, *cuts]
        self.rows: tuple[QWidget, ...] = (
            joined(image, self.rendering),
            joined(QLabel("Seen from"), *sides),
            joined(QLabel("Cut open"), *cuts),
        )
        self.refresh()

    def refresh(self) -> None:
        """Show how the 3D view is looked at, where it is in hand."""
        case = self._app.case
        for row in self.rows:
            row.setVisible(case is not None and self._app.view.three_d)
        for button in self._buttons:
            button.refresh()
        if case is None:
            return
        offered = [name for name, rendering in RENDERINGS.items() if rendering.suits(case.volume)]
        drawn = rendering_of(self._app.view.rendering, case.volume)
        with QSignalBlocker(self.rendering):
            if [self.rendering.itemData(i) for i in range(self.rendering.count())] != offered:
                self.rendering.clear()
                for name in offered:
                    self.rendering.addItem(RENDERINGS[name].title, name)
            self.rendering.setCurrentText(drawn.title)
        self.rendering.setToolTip(drawn.tip)

    def _draw(self, row: int) -> None:
        run_command(self._app, f"view.rendering-{self.rendering.itemData(row)}")


def _is_cut(cut: Cut, app: Application) -> bool:
    return app.view.cut == cut
