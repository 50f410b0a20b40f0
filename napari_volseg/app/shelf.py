"""The automatic models on offer, with their cards, and where they would run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from psygnal import Signal

from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import CancelToken, ModelCard, ProgressCallback, UsageError
from napari_volseg.inference import available_models, describe_device, load_model
from napari_volseg.inference.tasks import PREFIX, Task, all_tasks, find_task, weights_folder


@dataclass(frozen=True, slots=True)
class ShelvedModel:
    """A model that can be chosen.

    Parameters
    ----------
    key
        What loads it: a registered name, or a folder.
    card
        What it says of itself.
    """

    key: str
    card: ModelCard


class ModelShelf:
    """Models that the user may choose from; looked up in the background, as cards and devices take a while to read.

    Parameters
    ----------
    jobs
        Where looking up runs.
    wishes
        Holds the model that is chosen.

    Attributes
    ----------
    models
        The models, registered ones first.
    device
        Where a network would run, in words; empty before it is known.
    """

    changed = Signal()

    def __init__(self, jobs: JobRunner, wishes: ToolWishes) -> None:
        self._jobs = jobs
        self._wishes = wishes
        self.models: tuple[ShelvedModel, ...] = ()
        self.device = ""

    @property
    def chosen(self) -> ShelvedModel | None:
        """The chosen model, None where it is not on the shelf."""
        return next((model for model in self.models if model.key == self._wishes.model), None)

    def look(self) -> None:
        """Find the registered models, and where a network would run."""

        def find(progress: ProgressCallback, cancel: CancelToken) -> tuple[ShelvedModel, ...]:
            return tuple(ShelvedModel(card.id, card) for card in available_models())

        def ask(progress: ProgressCallback, cancel: CancelToken) -> str:
            return _device_or_reason(self._wishes.device)

        self._jobs.submit("Looking for models", find, self._take_models, quiet=True)
        self._jobs.submit("Looking for a graphics card", ask, self._take_device, lane="network", quiet=True)

    def add_folder(self, folder: Path) -> Job:
        """Offer a trained model folder and choose it."""

        def read(progress: ProgressCallback, cancel: CancelToken) -> ShelvedModel:
            return ShelvedModel(str(folder), load_model(folder).card)

        return self._jobs.submit(f"Reading model {folder.name}", read, self._take_folder)

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


def _offer(task: Task, missing: int) -> str:
    labels = "one structure" if len(task.labels) == 1 else f"{len(task.labels)} structures"
    what = "one network" if missing == 1 else f"{missing} networks"
    return f"{task.title}: {labels} in {task.modality}; {what} from github.com, under {task.weights_license}"


def _device_or_reason(device: str) -> str:
    try:
        return describe_device(device)
    except UsageError as error:
        return str(error)
