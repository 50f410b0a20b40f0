"""The models by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_volseg.core import ModelCard, RefusedError, UsageError
from napari_volseg.inference.bundles import is_bundle, read_bundle
from napari_volseg.inference.file_models import is_card_folder, read_card_folder
from napari_volseg.inference.folders import is_model_folder
from napari_volseg.inference.model import SegmentationModel
from napari_volseg.inference.network_files import Trust
from napari_volseg.inference.nnunet import NnunetModel
from napari_volseg.inference.tasks import PREFIX
from napari_volseg.inference.tissues import CtTissues
from napari_volseg.inference.totalsegmentator import installed_tasks, open_task

#: Folders of weights that come with the package, by the name that the user types.
SHIPPED = {name: Path(__file__).parent / "weights" / name for name in ("phantom-organs", "brain-structures")}


def available_models(extra_folders: Iterable[Path | str] = ()) -> tuple[ModelCard, ...]:
    """Return the cards of all models that can be loaded now.

    Parameters
    ----------
    extra_folders
        Further model folders.

    Raises
    ------
    RefusedError
        Where one of the extra folders is not a model folder.
    """
    shipped = [folder for folder in SHIPPED.values() if is_model_folder(folder)]
    folders = (load_folder(Path(folder)).card for folder in (*shipped, *extra_folders))
    return CtTissues().card, *folders, *(open_task(name).card for name in installed_tasks())


def load_folder(folder: Path, *, trusted: Trust = False) -> SegmentationModel:
    """Return the model in a folder: a MONAI bundle, a network file with a card, or what nnU-Net v2 trained.

    ``trusted`` says which programs in it the user trusts: none, all, or those of some SHA-256.
    """
    if is_bundle(folder):
        return read_bundle(folder, trusted=trusted)
    if not is_model_folder(folder) and is_card_folder(folder):
        return read_card_folder(folder, trusted=trusted)
    return NnunetModel(folder)


def load_model(name_or_folder: str | Path, *, trusted: Trust = False) -> SegmentationModel:
    """Return a model by its registered name, or from a folder; see `load_folder`.

    Raises
    ------
    UsageError
        For a name that is neither registered nor a folder.
    RefusedError
        For a folder that can't be used, and for a shipped model whose weights are missing.
    """
    name = str(name_or_folder)
    if name == CtTissues.NAME:
        return CtTissues()
    if name in SHIPPED:
        return _load_shipped(name)
    if name.startswith(PREFIX):
        return open_task(name)
    if Path(name_or_folder).is_dir():
        return load_folder(Path(name_or_folder), trusted=trusted)
    raise UsageError(
        f"there is no model {name!r}: choose {', '.join((CtTissues.NAME, *SHIPPED))}, "
        f"{PREFIX} with one of its tasks, or give a folder with a trained model"
    )


def _load_shipped(name: str) -> SegmentationModel:
    folder = SHIPPED[name]
    if not is_model_folder(folder):
        raise RefusedError(
            f"the weights of {name!r} are missing from this installation: install napari-volseg again", "model.absent"
        )
    return NnunetModel(folder)
