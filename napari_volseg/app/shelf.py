"""The automatic models on offer, with their cards, and where they would run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from psygnal import Signal

from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.model_places import ModelPlaces
from napari_volseg.app.opening import Question
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import CancelToken, ModelCard, ProgressCallback, UsageError, VolsegError
from napari_volseg.inference import available_models, describe_device, load_model
from napari_volseg.inference.file_models import FileModel
from napari_volseg.inference.folders import sha256_of
from napari_volseg.inference.tasks import PREFIX, Task, all_tasks, find_task, weights_folder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShelvedModel:
    """A model that can be chosen.

    Parameters
    ----------
    key
        What loads it: a registered name, or a folder.
    card
        What it says of itself.
    program
        SHA-256 of the program in it, which must be trusted before it runs; empty where it is none.
    """

    key: str
    card: ModelCard
    program: str = ""


#: What it means to trust a program.
TRUST = {
    "leave": "Don't run it. The model stays in the list",
    "trust": "I know where this file comes from. Run it now and later, as long as it is the same file",
}


class ModelShelf:
    """Models that the user may choose from; looked up in the background, as cards and devices take a while to read.

    Parameters
    ----------
    jobs
        Where looking up runs.
    wishes
        Holds the model that is chosen.
    places
        Remembers folders and programs.
    ask
        Puts a question to the user.

    Attributes
    ----------
    models
        The models, registered ones first.
    device
        Where a network would run, in words; empty before it is known.
    """

    changed = Signal()

    def __init__(
        self,
        jobs: JobRunner,
        wishes: ToolWishes,
        places: ModelPlaces | None = None,
        ask: Callable[[Question], object] = lambda _: None,
    ) -> None:
        self._jobs = jobs
        self._places = places or ModelPlaces()
        self._ask = ask
        self._wishes = wishes
        self.models: tuple[ShelvedModel, ...] = ()
        self.device = ""

    @property
    def chosen(self) -> ShelvedModel | None:
        """The chosen model, None where it is not on the shelf."""
        return next((model for model in self.models if model.key == self._wishes.model), None)

    @property
    def trusted(self) -> frozenset[str]:
        """SHA-256 of the programs that the user trusts."""
        return self._places.trusted

    @property
    def untrusted(self) -> ShelvedModel | None:
        """The chosen model where it is a program that the user has not trusted."""
        chosen = self.chosen
        return chosen if chosen and chosen.program and chosen.program not in self.trusted else None

    def look(self) -> None:
        """Find the registered models, those of folders that were added before, and where a network would run."""
        folders = self._places.folders

        def find(progress: ProgressCallback, cancel: CancelToken) -> tuple[ShelvedModel, ...]:
            registered = tuple(ShelvedModel(card.id, card) for card in available_models())
            return (*registered, *filter(None, map(_shelved_again, folders)))

        def ask(progress: ProgressCallback, cancel: CancelToken) -> str:
            return _device_or_reason(self._wishes.device)

        self._jobs.submit("Looking for models", find, self._take_models, quiet=True)
        self._jobs.submit("Looking for a graphics card", ask, self._take_device, lane="network", quiet=True)

    def add_folder(self, folder: Path) -> Job:
        """Offer a trained model folder and choose it."""

        def read(progress: ProgressCallback, cancel: CancelToken) -> ShelvedModel:
            return _shelved(folder)

        return self._jobs.submit(f"Reading model {folder.name}", read, lambda model: self._take_added(folder, model))

    def ask_trust(self) -> None:
        """Ask whether the chosen model, a program, may run, and tell what that means."""
        model = self.untrusted
        if model is None:
            return
        text = (
            f"do you trust {model.card.title}? It is a TorchScript program, which can do anything that you can on "
            "this computer: read, change, send and delete your files. It was chosen from the folder "
            f"{Path(model.key).name}; the SHA-256 of its file begins with {model.program[:12]}"
        )
        self._ask(Question(text, TRUST, lambda choice: self._answer_trust(model.program, choice)))

    def obtainable(self) -> dict[str, str]:
        """Return what can be downloaded, by name: what it labels, how much comes, and under which terms."""
        folder = weights_folder()
        offers = {name: (task, task.missing(folder)) for name, task in all_tasks().items() if not task.commercial}
        return {name: _offer(task, len(missing)) for name, (task, missing) in offers.items() if missing}

    def obtain(self, name: str) -> Job:
        """Download the weights of a task, whose terms somebody has accepted, and choose it."""
        task, folder = find_task(name), weights_folder()

        def work(progress: ProgressCallback, cancel: CancelToken) -> ShelvedModel:
            from napari_volseg.inference.fetching import Archive, fetch

            for part in task.missing(folder):
                fetch(Archive(part.url(), part.folder), folder, progress, cancel)
            key = PREFIX + task.name
            return ShelvedModel(key, load_model(key).card)

        return self._jobs.submit(f"Downloading {task.title}", work, self._take_folder, lane="downloads")

    def _answer_trust(self, program: str, choice: str) -> None:
        if choice == "trust":
            self._places.trust(program)
            self.changed.emit()

    def _take_added(self, folder: Path, model: ShelvedModel) -> None:
        self._places.add_folder(folder)
        self._take_folder(model)
        self.ask_trust()

    def _take_models(self, models: tuple[ShelvedModel, ...]) -> None:
        keys = {model.key for model in models}
        self.models = (*models, *(model for model in self.models if model.key not in keys))
        self.changed.emit()

    def _take_device(self, device: str) -> None:
        self.device = device
        self.changed.emit()

    def _take_folder(self, model: ShelvedModel) -> None:
        self.models = (*(m for m in self.models if m.key != model.key), model)
        self._wishes.model = model.key
        self.changed.emit()


def _shelved(folder: Path) -> ShelvedModel:
    model = load_model(folder)
    program = model.program if isinstance(model, FileModel) else None
    return ShelvedModel(str(folder), model.card, sha256_of(program) if program else "")


def _shelved_again(folder: Path) -> ShelvedModel | None:
    """Return the model of a folder that was added before, None where it is there no more."""
    try:
        return _shelved(folder)
    except VolsegError as error:
        _log.warning("the model in %s is not on offer: %s", folder, error)
        return None


def _offer(task: Task, missing: int) -> str:
    labels = "one structure" if len(task.labels) == 1 else f"{len(task.labels)} structures"
    what = "one network" if missing == 1 else f"{missing} networks"
    return f"{task.title}: {labels} in {task.modality}; {what} from github.com, under {task.weights_license}"


def _device_or_reason(device: str) -> str:
    try:
        return describe_device(device)
    except UsageError as error:
        return str(error)
