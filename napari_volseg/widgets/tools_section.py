"""Correct by segment tools: choose one, set it, look what it would do, apply it."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QButtonGroup, QLabel

from napari_volseg.app import COMMANDS, DISTANCE_LIMITS, SEGMENT_TOOLS, SegmentTool, run_command
from napari_volseg.widgets.buttons import ActionButton, CommandButton
from napari_volseg.widgets.icons import icon
from napari_volseg.widgets.section import Section, muted_label
from napari_volseg.widgets.tool_page import UNCALIBRATED, NumberBox, ToolPage, combo

#: How far tools act: text of the button, and what it does.
REACHES = {
    "slice": ("Slice", "Act on the shown slice alone"),
    "slab": ("Slab", "Act on the slices within a distance of the shown one"),
    "volume": ("3D", "Act on the whole volume"),
}

ICON_SIZE = QSize(20, 20)


class ToolsSection(Section):
    """Tools that change segments at the press of a button."""

    title = "Tools"
    name = "tools"

    def build(self) -> None:
        """Make the list of tools, a page of parameters for each, how far they act, and the buttons."""
        self.tools = combo("segment-tool")
        self.tools.setIconSize(ICON_SIZE)
        self.tools.setMaxVisibleItems(len(SEGMENT_TOOLS))
        for tool in SEGMENT_TOOLS.values():
            self.tools.addItem(tool.title, tool.id)
            self.tools.setItemData(self.tools.count() - 1, _command_tip(tool), Qt.ItemDataRole.ToolTipRole)
        self.tools.currentIndexChanged.connect(self._choose)
        self.tip = muted_label()
        self.rows.addWidget(self.tools)
        self.rows.addWidget(self.tip)
        # made at once and hidden, for what guards boxes from the wheel looks at those that are there
        self._pages = {tool.id: ToolPage(self.app, tool) for tool in SEGMENT_TOOLS.values() if tool.parameters}
        for page in self._pages.values():
            self.rows.addWidget(page)
        self._build_reach()
        self.told = muted_label()
        self.told.setObjectName("tools.told")
        self.rows.addWidget(self.told)
        self.suggest = ActionButton("Otsu", "", self._suggest, "tools.suggest")
        self.preview = CommandButton(self.app, "tool.preview", checked=lambda app: app.tools.previewing)
        self.apply = ActionButton("Apply", "", self._apply, "tools.apply")
        self.add_row(self.suggest, self.preview, self.apply)

    def refresh(self) -> None:
        """Show the chosen tool, its settings, and whether it can be applied."""
        tool = self._tool
        self.tools.setCurrentIndex(self.tools.findData(tool.id))
        self.tools.setToolTip(_command_tip(tool))
        self.tip.setText(tool.tip)
        for tool_id, page in self._pages.items():
            page.setVisible(tool_id == tool.id)
        if tool.id in self._pages:
            self._pages[tool.id].refresh()
        self._show_reach(tool)
        self.told.setText(self.app.tool_preview.told)
        self.told.setVisible(bool(self.app.tool_preview.told))
        self.preview.refresh()
        self.apply.explain(_command_tip(tool), COMMANDS[f"tool.{tool.id}"].why_not(self.app))
        suggestion = COMMANDS["tool.suggest-range"]
        self.suggest.setVisible(tool.suggest is not None)
        self.suggest.explain(suggestion.tooltip, suggestion.why_not(self.app))

    def set_colors(self, color: QColor, accent: QColor) -> None:
        """Draw the icons of the list in a colour of the theme, and ranges in another."""
        for page in self._pages.values():
            page.set_accent(accent)
        for row in range(self.tools.count()):
            self.tools.setItemIcon(row, icon(f"tools/{self.tools.itemData(row)}", color))

    def _build_reach(self) -> None:
        self._reaches = {
            reach: ActionButton(text, tip, partial(self._reach, reach), f"tools.reach.{reach}")
            for reach, (text, tip) in REACHES.items()
        }
        group = QButtonGroup(self)
        for button in self._reaches.values():
            button.setCheckable(True)
            group.addButton(button)
        self.slab = NumberBox()
        self.slab.setObjectName("tools.slab")
        self.slab.setRange(*DISTANCE_LIMITS)
        self.slab.setDecimals(1)
        self.slab.setPrefix("± ")
        self.slab.setToolTip("How far the slab reaches from the shown slice to each side")
        self.slab.valueChanged.connect(self._set_slab)
        row = self.add_row(QLabel("Act on"), *self._reaches.values(), self.slab, stretch=False)
        for place in (1, 2, 3):
            row.setStretch(place, 1)

    def _show_reach(self, tool: SegmentTool) -> None:
        tools, volume = self.app.tools, self.app.case.volume if self.app.case is not None else None
        reach = tool.reach(tools.reach)
        for name, button in self._reaches.items():
            button.setChecked(name == reach)
            button.explain(REACHES[name][1], None if name in tool.reaches else f'"{tool.title}" can\'t act so')
        with QSignalBlocker(self.slab):
            self.slab.setSuffix(" mm" if volume is None or volume.is_calibrated else f" {UNCALIBRATED['mm']}")
            if self.slab.value() != round(tools.slab_mm, 1):
                self.slab.setValue(tools.slab_mm)
        self.slab.setVisible(reach == "slab")

    @property
    def _tool(self) -> SegmentTool:
        return SEGMENT_TOOLS[self.app.tools.segment_tool]

    def _choose(self, row: int) -> None:
        self.app.tools.segment_tool = self.tools.itemData(row)

    def _reach(self, reach: str) -> None:
        self.app.tools.reach = reach
        self.refresh()

    def _set_slab(self, mm: float) -> None:
        self.app.tools.slab_mm = mm

    def _apply(self) -> None:
        run_command(self.app, f"tool.{self._tool.id}")

    def _suggest(self) -> None:
        run_command(self.app, "tool.suggest-range")


def _command_tip(tool: SegmentTool) -> str:
    return COMMANDS[f"tool.{tool.id}"].tooltip
