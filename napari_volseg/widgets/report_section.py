"""The import report of the open image: what was found, repaired, assumed, decided and left out."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication, QTextBrowser

from napari_volseg.app import COMMANDS
from napari_volseg.formats import ImportReport
from napari_volseg.formats.import_report import HEADINGS, Entry
from napari_volseg.widgets.buttons import ActionButton, set_flag
from napari_volseg.widgets.section import Section
from napari_volseg.widgets.wording import as_sentence

#: Height beyond which the report scrolls by itself, pixels.
TALLEST = 420
WARNING_MARK, NOTE_MARK = "▲", "•"


class ReportSection(Section):
    """A header that counts the warnings; unfolded, the whole report as text that can be selected and copied."""

    title = "Import report"
    name = "report"

    def build(self) -> None:
        """Make text and button."""
        command = COMMANDS["view.report"]
        self.header.setObjectName(command.id)
        self.header.setToolTip(command.tooltip)
        self.header.toggled.connect(self._wish)
        self._shown: ImportReport | None = None
        self._warning_color = QColor("orange")
        self.text = QTextBrowser()
        self.text.setObjectName("report-text")
        self.text.setTabChangesFocus(True)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.text.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.text.document().documentLayout().documentSizeChanged.connect(self._fit)
        self.rows.addWidget(self.text)
        self.copy = ActionButton("Copy", "Copy the whole report as text", self._copy, "report.copy")
        row = self.add_row(self.copy, stretch=False)
        row.addStretch(1)

    def refresh(self) -> None:
        """Show the report of the open image."""
        report = self.app.report
        self.setVisible(report is not None)
        self.expanded = self.app.view.report_shown
        if report is None or report is self._shown:
            return
        self._shown = report
        self.set_detail(count_warnings(report.warnings))
        set_flag(self.header, "warned", report.warnings > 0)
        self._write()

    def set_warning_color(self, color: QColor) -> None:
        """Draw the marks of warnings in a colour of the theme."""
        self._warning_color = color
        self._write()

    def _write(self) -> None:
        if self._shown is not None:
            self.text.setHtml(as_html(self._shown, self._warning_color.name()))

    def _wish(self, expanded: bool) -> None:
        self.app.view.report_shown = expanded

    def _fit(self) -> None:
        height = self.text.document().size().height() + 2 * self.text.frameWidth() + 2
        self.text.setFixedHeight(min(TALLEST, round(height)))

    def _copy(self) -> None:
        if self._shown is not None:
            QApplication.clipboard().setText(self._shown.as_text())
            self.app.notice("the import report was copied")


def count_warnings(count: int) -> str:
    """Return how many warnings there are in words."""
    return f"{WARNING_MARK} {count} warning{'s' * (count != 1)}" if count else "no warnings"


def as_html(report: ImportReport, warning_color: str) -> str:
    """Return a report as rich text, warnings marked in a colour."""
    parts = ["<br>".join(map(escape, report.fact_lines()))]
    for kind, heading in HEADINGS.items():
        entries = sorted(report.of_kind(kind), key=lambda entry: entry.severity, reverse=True)
        if entries:
            lines = "".join(_entry_html(entry, warning_color) for entry in entries)
            parts.append(f'<p style="margin:8px 0 2px 0"><b>{heading}</b></p><table cellspacing="0">{lines}</table>')
    return "".join(parts)


def _entry_html(entry: Entry, warning_color: str) -> str:
    mark = f'<span style="color:{warning_color}">{WARNING_MARK}</span>' if entry.severity == "warning" else NOTE_MARK
    return f'<tr><td style="padding-right:5px">{mark}</td><td>{escape(as_sentence(entry.message))}</td></tr>'
