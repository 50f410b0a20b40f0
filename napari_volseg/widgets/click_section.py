"""Segment by click: tools, sign, engine and the prompts so far."""

from __future__ import annotations

from qtpy.QtWidgets import QButtonGroup

from napari_volseg.app import Application
from napari_volseg.widgets.buttons import ActionButton, CommandButton, set_primary
from napari_volseg.widgets.hints import next_step
from napari_volseg.widgets.section import Section, muted_label


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
        self.engine = muted_label()
        self.rows.addWidget(self.engine)
        self.accept = CommandButton(self.app, "click.accept")
        following = CommandButton(self.app, "segment.next")
        self.add_row(self.accept, following)
        self._buttons = (click, scribble, self.accept, following)

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
            self.engine.setText(f"{clicks.engine_title} · {prompts}")
        primary = next_step(self.app).primary
        set_primary(self.accept, primary == "click.accept")
        set_primary(self.click, primary == "tool.click")

    def _sign(self, positive: bool) -> None:
        self.app.tools.positive = positive
