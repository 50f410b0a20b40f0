"""Segment by click: tools, sign, engine and the prompts so far."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QButtonGroup, QComboBox

from napari_volseg.app import Application, terms_of
from napari_volseg.core import ModelCard
from napari_volseg.widgets import dialogs
from napari_volseg.widgets.buttons import ActionButton, CommandButton, set_primary
from napari_volseg.widgets.hints import next_step
from napari_volseg.widgets.section import Section, muted_label

#: Where nnInteractive may run.
ENGINE_PLACES = {
    "folder": "on this computer, with its weights from a folder",
    "server": "on a server of your own, to which the image is sent",
}
SERVER_QUESTION = "address of the nnInteractive server, to which the image will be sent when you click"


def tool_button(app: Application, tool: str, text: str) -> CommandButton:
    """Return the button that takes a tool in hand and shows whether it is."""
    return CommandButton(app, f"tool.{tool}", text, lambda app: app.tools.tool == tool)


class ClickSection(Section):
    """Clicks and scribbles that a model answers in 3D."""

    title = "Click"
    name = "click"

    def build(self) -> None:
        """Make the buttons."""
        self.click = click = tool_button(self.app, "click", "Click")
        scribble = tool_button(self.app, "scribble", "Scribble")
        self.plus = ActionButton("+ Add", "Clicks add to the segment [X]", lambda: self._sign(True), "sign.add")
        self.minus = ActionButton(
            "− Remove", "Clicks take from the segment [X]", lambda: self._sign(False), "sign.remove"
        )
        signs = QButtonGroup(self)
        for button in (self.plus, self.minus):
            button.setCheckable(True)
            signs.addButton(button)
        self.add_row(click, scribble, self.plus, self.minus)
        self.engines = QComboBox()
        self.engines.setObjectName("engines")
        self.engines.setToolTip("What answers clicks")
        self.engines.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.engines.currentIndexChanged.connect(self._choose)
        more = ActionButton("Other…", "Let nnInteractive answer clicks", self._add_engine, "engine.add")
        row = self.add_row(self.engines, more)
        row.setStretch(0, 3)
        self.engine = muted_label()
        self.rows.addWidget(self.engine)
        self.accept = CommandButton(self.app, "click.accept")
        following = CommandButton(self.app, "segment.next")
        self.add_row(self.accept, following)
        self._buttons = (click, scribble, self.accept, following)
        self.app.engines.changed.connect(self.refresh)
        self.app.engines.offered.connect(self._ask_terms)

    def refresh(self) -> None:
        """Show tool, sign and prompts."""
        for button in self._buttons:
            button.refresh()
        (self.plus if self.app.tools.positive else self.minus).setChecked(True)
        clicks = self.app.clicks
        self.engine.setVisible(clicks is not None)
        if clicks is not None:
            count = len(clicks.prompts)
            prompts = f"{count} prompt{'' if count == 1 else 's'}" if count else "no prompts yet"
            self.engine.setText(prompts[:1].upper() + prompts[1:])
        self._fill()
        primary = next_step(self.app).primary
        set_primary(self.accept, primary == "click.accept")
        set_primary(self.click, primary == "tool.click")

    def _fill(self) -> None:
        shelf = self.app.engines
        with QSignalBlocker(self.engines):
            if self.engines.count() != len(shelf.engines):
                self.engines.clear()
                for key, engine in shelf.engines.items():
                    self.engines.addItem(engine.card.title, key)
            self.engines.setCurrentIndex(self.engines.findData(shelf.chosen.card.id))

    def _choose(self, row: int) -> None:
        if row >= 0:
            self.app.tools.engine = self.engines.itemData(row)

    def _add_engine(self) -> None:
        match dialogs.ask_choice(self.window(), "where does nnInteractive run?", ENGINE_PLACES):
            case "folder":
                if folder := dialogs.ask_folder(self, "Choose the folder of nnInteractive's weights"):
                    self.app.attempt(self.app.engines.add_folder, folder)
            case "server":
                self._add_server()

    def _add_server(self) -> None:
        if address := dialogs.ask_text(self.window(), SERVER_QUESTION, "http://localhost:1527"):
            self.app.attempt(self.app.engines.add_server, address)

    def _ask_terms(self, card: ModelCard) -> None:
        if dialogs.ask_yes(self.window(), terms_of(card)):
            self.app.engines.accept()

    def _sign(self, positive: bool) -> None:
        self.app.tools.positive = positive
