"""Segment automatically: choose a model, read its card, run it."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QComboBox

from napari_volseg.app import ShelvedModel
from napari_volseg.core import ModelCard
from napari_volseg.widgets import dialogs
from napari_volseg.widgets.buttons import ActionButton, CommandButton, set_primary
from napari_volseg.widgets.channel_rows import ChannelRows
from napari_volseg.widgets.hints import next_step
from napari_volseg.widgets.section import Section, muted_label

#: Segments that a card names before it says how many more there are.
NAMES_SHOWN = 8

#: What is asked before anything is downloaded.
OFFER = (
    "which model of TotalSegmentator do you want? Choosing one accepts its terms; its weights are kept where "
    "TotalSegmentator keeps them, and the image stays on this computer"
)


class SegmentSection(Section):
    """The automatic models."""

    title = "Segment"
    name = "segment"

    def build(self) -> None:
        """Make the list of models, the card and the buttons."""
        self.models = QComboBox()
        self.models.setObjectName("models")
        self.models.setToolTip("Automatic model")
        self.models.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.models.currentIndexChanged.connect(self._choose)
        folder = ActionButton(
            "Folder…",
            "Use a model from a folder: nnU-Net v2, or a network with a card",
            self._add_folder,
            "model.folder",
        )
        more = ActionButton("More…", "Download a model of TotalSegmentator", self._obtain, "model.obtain")
        self.rows.addWidget(self.models)
        self.card = muted_label()
        self.device = muted_label()
        self.rows.addWidget(self.card)
        self.rows.addWidget(self.device)
        self.postprocess = QCheckBox("Correct labels as its card says")
        self.postprocess.setObjectName("postprocess")
        self.postprocess.toggled.connect(self._wish_postprocessing)
        self.rows.addWidget(self.postprocess)
        self.channels = ChannelRows(self.app, lambda what: dialogs.ask_file(self, what))
        self.trust = CommandButton(self.app, "model.trust")
        self.rows.addWidget(self.channels)
        self.add_row(self.trust)
        self.run = CommandButton(self.app, "segment.run")
        self.cancel = CommandButton(self.app, "segment.cancel")
        self.add_row(self.run, self.cancel)
        self.add_row(folder, more)
        self._models: tuple[ShelvedModel, ...] = ()
        self.app.models.changed.connect(self.refresh)

    def refresh(self) -> None:
        """Show the models, the chosen one's card, and whether it can run."""
        shelf = self.app.models
        self._fill()
        self.card.setText(describe_card(shelf.chosen.card) if shelf.chosen else "")
        self.card.setToolTip(explain_card(shelf.chosen.card) if shelf.chosen else "")
        self._offer_postprocessing(shelf.chosen.card.postprocessing_words if shelf.chosen else ())
        self.channels.refresh()
        self.trust.refresh()
        self.trust.setVisible(shelf.untrusted is not None)
        self.device.setText(f"Networks run on: {shelf.device}")
        self.device.setVisible(bool(shelf.device))
        self.run.refresh()
        self.cancel.refresh()
        set_primary(self.run, next_step(self.app).primary == self.run.objectName())

    def _fill(self) -> None:
        shelf = self.app.models
        if shelf.models != self._models:
            self._models = shelf.models
            with QSignalBlocker(self.models):
                self.models.clear()
                for model in shelf.models:
                    self.models.addItem(model.card.title, model.key)
        self.models.setCurrentIndex(self.models.findData(self.app.tools.model))

    def _choose(self, row: int) -> None:
        if row >= 0:
            self.app.tools.channels = {}
            self.app.tools.model = self.models.itemData(row)

    def _offer_postprocessing(self, words: tuple[str, ...]) -> None:
        self.postprocess.setVisible(bool(words))
        self.postprocess.setToolTip("Each is a step that can be undone: " + "; ".join(words))
        with QSignalBlocker(self.postprocess):
            self.postprocess.setChecked(self.app.tools.postprocess)

    def _wish_postprocessing(self, wished: bool) -> None:
        self.app.tools.postprocess = wished

    def _add_folder(self) -> None:
        if folder := dialogs.ask_folder(self, "Choose the folder of a model"):
            self.app.attempt(self.app.models.add_folder, folder)

    def _obtain(self) -> None:
        offers = self.app.models.obtainable()
        if name := dialogs.ask_choice(self.window(), OFFER, offers):
            self.app.attempt(self.app.models.obtain, name)


def describe_card(card: ModelCard) -> str:
    """Return what a model labels and, in one sentence, what it is for."""
    names = [segment.name for segment in card.segments]
    shown = ", ".join(names[:NAMES_SHOWN])
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    purpose = (card.intended_use or card.task).split(". ")[0].rstrip(".")
    return f"Labels: {shown}{more}\nFor: {purpose}"


def explain_card(card: ModelCard) -> str:
    """Return everything that a user may want to know of a model."""
    spacing = " × ".join(f"{s:g}" for s in card.spacing) + " mm (z, y, x)" if card.spacing else "that of the image"
    facts = {
        "Version": card.version,
        "Task": card.task,
        "Intended use": card.intended_use,
        "Labels": ", ".join(segment.name for segment in card.segments),
        "Input": ", ".join(card.channels),
        "Spacing": spacing,
        "Licence of the weights": card.weights_license,
        "Afterwards": "; ".join(card.postprocessing_words),
    }
    lines = "".join(f"<p><b>{name}:</b> {escape(text)}</p>" for name, text in facts.items() if text)
    return f"<b>{escape(card.title)}</b>{lines}"
