"""The foldable sections that the panel is made of."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_volseg.app import Application
from napari_volseg.widgets.events import AppEvents

OPEN_MARK, CLOSED_MARK = "▾", "▸"
SPACING = 5


class Section(QWidget):
    """A header that folds its body away.

    Plain visibility instead of an animated height: wrapped labels in the body then always get the height they
    need.

    Parameters
    ----------
    app
        What is shown and called.
    events
        Tells when to look again.

    Attributes
    ----------
    title
        Text of the header.
    name
        Identifier of the section, also its object name.
    """

    title = ""
    name = ""

    def __init__(self, app: Application, events: AppEvents) -> None:
        super().__init__()
        self.app = app
        self.setObjectName(f"section-{self.name}")
        self.header = QPushButton()
        self.header.setProperty("section", True)
        self.header.setCheckable(True)
        self.header.setToolTip(f"Show or hide {self.title.lower()}")
        self.header.toggled.connect(self._fold)
        self.body = QWidget()
        self.rows = QVBoxLayout(self.body)
        self.rows.setContentsMargins(6, 4, 6, 8)
        self.rows.setSpacing(SPACING)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self.body)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.build()
        self._fold(False)
        events.changed.connect(self.refresh)

    def build(self) -> None:
        """Make the body's widgets; called once."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Show what the application holds now."""
        raise NotImplementedError

    @property
    def expanded(self) -> bool:
        """Whether the body is shown."""
        return self.header.isChecked()

    @expanded.setter
    def expanded(self, value: bool) -> None:
        self.header.setChecked(value)

    def set_detail(self, detail: str) -> None:
        """Show a few words behind the title."""
        self._detail = detail
        self._write_header()

    def add_row(self, *widgets: QWidget, stretch: bool = True) -> QHBoxLayout:
        """Put widgets side by side below what is there, of equal width where ``stretch``."""
        row = QHBoxLayout()
        row.setSpacing(SPACING)
        for widget in widgets:
            row.addWidget(widget, 1 if stretch else 0)
        self.rows.addLayout(row)
        return row

    _detail = ""

    def _fold(self, expanded: bool) -> None:
        self.body.setVisible(expanded)
        self._write_header()

    def _write_header(self) -> None:
        mark = OPEN_MARK if self.expanded else CLOSED_MARK
        detail = f"   {self._detail}" if self._detail else ""
        self.header.setText(f"{mark}  {self.title}{detail}")


def joined(*widgets: QWidget) -> QWidget:
    """Return widgets side by side as one, which can be hidden."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(SPACING)
    for widget in widgets:
        layout.addWidget(widget)
    return row


def muted_label(text: str = "") -> QLabel:
    """Return a wrapping label for secondary text, selectable by mouse."""
    label = QLabel(text)
    label.setProperty("muted", True)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
