"""The click engines on offer, with their cards; those of others are asked about before they answer a click."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from psygnal import Signal

from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import CancelToken, ModelCard, ProgressCallback
from napari_volseg.interactive import OWN_ENGINES, InteractiveModel, available_engines, load_engine


class EngineShelf:
    """Click engines that the user may choose from.

    Parameters
    ----------
    jobs
        Where an engine is looked at before it is offered.
    wishes
        Holds the engine that is chosen.

    Attributes
    ----------
    engines
        The engines by the id of their card, the default one first. Those of others answer only once somebody has
        accepted their terms, which are offered when one is chosen, once in a run of the program.
    offered
        An engine of others, whose terms somebody must accept before it is used.
    """

    changed = Signal()
    offered = Signal(ModelCard)

    def __init__(self, jobs: JobRunner, wishes: ToolWishes) -> None:
        self._jobs = jobs
        self._wishes = wishes
        ids = [card.id for card in available_engines()]
        self.engines: dict[str, InteractiveModel] = {id_: load_engine(id_, wishes.device) for id_ in ids}
        self._accepted = set(OWN_ENGINES)
        self._answering = ids[0]
        self._waiting: InteractiveModel | None = None
        wishes.events.engine.connect(self._follow_wish)
        self._follow_wish(wishes.engine)

    @property
    def chosen(self) -> InteractiveModel:
        """The engine that answers: never one whose terms nobody has accepted."""
        return self.engines[self._answering]

    def add_folder(self, folder: Path) -> Job:
        """Offer a folder of nnInteractive's weights."""

        def read() -> InteractiveModel:
            from napari_volseg.interactive.nninteractive import local_nninteractive

            return local_nninteractive(folder, self._wishes.device)

        return self._look(f"Reading click engine {folder.name}", read)

    def add_prompter(self, folder: Path) -> Job:
        """Offer a network like Segment Anything from a folder with ``encoder.onnx`` and ``decoder.onnx``."""

        def read() -> InteractiveModel:
            from napari_volseg.interactive.sam_onnx import sam_model

            return sam_model(folder)

        return self._look(f"Reading click engine {folder.name}", read)

    def add_server(self, address: str, key: str | None = None) -> Job:
        """Offer a server of nnInteractive; asking it sends no image."""

        def read() -> InteractiveModel:
            from napari_volseg.interactive.nninteractive import remote_nninteractive

            return remote_nninteractive(address, key)

        return self._look(f"Asking {address}", read)

    def accept(self) -> None:
        """Accept the terms of the engine that was offered, and choose it."""
        if self._waiting is None:
            return
        engine, self._waiting = self._waiting, None
        id_ = engine.card.id
        self.engines[id_] = engine
        self._accepted.add(id_)
        self._answering = self._wishes.engine = id_
        self.changed.emit()

    def decline(self) -> None:
        """Leave the engine that was offered alone; the one before goes on answering."""
        self._waiting = None
        self._wishes.engine = self._answering
        self.changed.emit()

    def _follow_wish(self, id_: str) -> None:
        """Let an engine answer from now on, or offer it first; one that is not there is left alone."""
        if id_ in self.engines and id_ in self._accepted:
            self._answering = id_
        elif id_ in self.engines:
            self._offer(self.engines[id_])

    def _look(self, title: str, read: Callable[[], InteractiveModel]) -> Job:
        def work(progress: ProgressCallback, cancel: CancelToken) -> InteractiveModel:
            return read()

        return self._jobs.submit(title, work, self._offer, lane="network")

    def _offer(self, engine: InteractiveModel) -> None:
        self._waiting = engine
        self.offered.emit(engine.card)


def terms_of(card: ModelCard) -> str:
    """Return what somebody accepts who uses an engine of others."""
    use = card.intended_use.rstrip(".")
    return (
        f"{card.title}: licence of the code {card.code_license}, of the weights {card.weights_license}. {use}. "
        "Use it under these terms?"
    )
