"""Export labels and reports, read back and compared before they count as saved."""

from __future__ import annotations

from functools import partial

from napari_volseg.app import EXPORTS, ExportKind, suggest_path
from napari_volseg.widgets import dialogs
from napari_volseg.widgets.buttons import ActionButton, set_primary
from napari_volseg.widgets.hints import next_step
from napari_volseg.widgets.section import Section


class ExportSection(Section):
    """One button for each format."""

    title = "Export"
    name = "export"

    def build(self) -> None:
        """Make a button for each format."""
        self._buttons = {
            kind.id: ActionButton(f"{kind.title}…", _tip(kind), partial(self._export, kind), f"export.{kind.id}")
            for kind in EXPORTS.values()
        }
        buttons = list(self._buttons.values())
        for start in range(0, len(buttons), 2):
            self.add_row(*buttons[start : start + 2])

    def refresh(self) -> None:
        """Grey what this case can't be exported as, and say why."""
        case, primary = self.app.case, next_step(self.app).primary
        for kind_id, button in self._buttons.items():
            kind = EXPORTS[kind_id]
            reason = (
                kind.why_not(case.volume, case.segmentation, case.session.measurements)
                if case
                else "open an image first"
            )
            button.explain(_tip(kind), reason)
            set_primary(button, primary == button.objectName())

    def _export(self, kind: ExportKind) -> None:
        case = self.app.need_case()
        target = dialogs.ask_save(self, f"Export {kind.title}", suggest_path(kind.id, case.volume))
        if target is not None:
            self.app.attempt(self.app.export, kind.id, target)


def _tip(kind: ExportKind) -> str:
    return f"Write {kind.title} ({kind.endings}); the file is read back and compared before it counts as saved"
