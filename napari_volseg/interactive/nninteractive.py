"""nnInteractive behind the protocol of all click engines: its network on this computer, or on a server of it.

Isensee et al., *nnInteractive: Redefining 3D Promptable Segmentation*, arXiv:2503.08373. Its packages are
optional; the local session and the client of the server have the same methods, so one engine speaks to both. Its
answer depends on the order of the prompts and on its own earlier answers, so prompts are always given in order, each
with its prediction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    Box,
    BoxMask,
    BoxPrompt,
    CancelToken,
    LassoPrompt,
    ModelCard,
    PointPrompt,
    Progress,
    ProgressCallback,
    Prompt,
    RefusedError,
    ScribblePrompt,
    UsageError,
    VolsegError,
    Volume,
    no_progress,
)
from napari_volseg.inference.checkpoints import number_globals, read_checkpoint
from napari_volseg.inference.devices import import_torch, resolve_device
from napari_volseg.interactive.facts import facts_in, terms_in
from napari_volseg.interactive.listing import PromptList, nothing, obeying
from napari_volseg.interactive.protocol import Capabilities, PartCallback, no_parts
from napari_volseg.interactive.seeds import prompt_voxels

#: What installs the network, and what installs the client of its server.
INSTALL_LOCAL = 'pip install "napari-volseg[nninteractive]"'
INSTALL_REMOTE = 'pip install "napari-volseg[remote]"'
#: Licence of the published weights, which a folder need not tell.
PUBLISHED_TERMS = "CC BY-NC-SA 4.0"
#: What nnInteractive answers where it does not know the licence.
_UNKNOWN_TERMS = "!!MISSING!!"
#: Makes ``torch.load`` refuse whatever is more than tensors and plain values, whoever calls it.
_WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"

Connect = Callable[[], Any]


class NnInteractiveModel:
    """Click to segment by nnInteractive.

    Parameters
    ----------
    card
        Facts about it.
    capabilities
        Which prompts its network was trained on.
    connect
        Returns a fresh session of nnInteractive, local or remote.
    """

    def __init__(self, card: ModelCard, capabilities: Capabilities, connect: Connect) -> None:
        self._card = card
        self._capabilities = capabilities
        self._connect = connect
        self._talk: _Conversation | None = None

    @property
    def card(self) -> ModelCard:
        """Facts about the engine."""
        return self._card

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with prompts."""
        return self._capabilities

    def open(
        self, volume: Volume, *, initial: BoxMask | None = None, forbidden: NDArray[Any] | None = None
    ) -> NnInteractiveSession:
        """Start a segment on a 3D volume; the image is handed over once and kept for further segments."""
        prompts = PromptList(volume, forbidden)
        if self._talk is None or self._talk.volume is not volume:
            self.close()
            self._talk = _Conversation(self._connect(), volume)
        return NnInteractiveSession(self._talk, prompts, initial)

    def close(self) -> None:
        """Let the image and the server's session go."""
        if self._talk is not None:
            self._talk.close()
        self._talk = None


class NnInteractiveSession:
    """One segment in the making; see :class:`napari_volseg.interactive.protocol.InteractiveSession`."""

    def __init__(self, talk: _Conversation, prompts: PromptList, initial: BoxMask | None) -> None:
        self._talk = talk
        self._list = prompts
        self.initial = initial

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts in the order in which they were given."""
        return self._list.prompts

    def add(self, prompt: Prompt) -> None:
        """Append a prompt."""
        self._list.add(prompt)

    def remove(self, prompt: Prompt) -> None:
        """Take back the last prompt that equals ``prompt``."""
        self._list.remove(prompt)

    def result(
        self,
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        parts: PartCallback = no_parts,
    ) -> BoxMask:
        """Return the mask for the present prompts."""
        if not self.prompts:
            return self.initial or nothing()
        return obeying(self._talk.answer(self, progress, cancel), self._list)


class _Conversation:
    """One session of nnInteractive with one image, and which prompts of whom it has answered."""

    def __init__(self, session: Any, volume: Volume) -> None:
        self.volume = volume
        self._session = session
        self._owner: NnInteractiveSession | None = None
        self._answered: tuple[Prompt, ...] = ()
        self._buffer = np.zeros(volume.geometry.shape, np.uint8)
        with _told(self.place):
            session.set_image(_as_image(volume.voxels), {"spacing": list(volume.geometry.spacing)})
            session.set_target_buffer(self._buffer)

    @property
    def place(self) -> str:
        """Where the network runs, in words."""
        client = getattr(self._session, "_http", None)
        return str(client.base_url) if client is not None else "this computer"

    def answer(self, asking: NnInteractiveSession, progress: ProgressCallback, cancel: CancelToken | None) -> BoxMask:
        """Give the prompts that have no answer yet, in order; return what is segmented then."""
        prompts = asking.prompts
        if self._owner is not asking or self._answered != prompts[: len(self._answered)]:
            self._begin(asking)
        first = len(self._answered)
        for done, prompt in enumerate(prompts[first:]):
            progress(Progress(done, len(prompts) - first, "Segmenting"))
            if cancel is not None:
                cancel.check()
            self._owner = None  # until it has answered nobody knows what it holds
            with _told(self.place):
                give(self._session, prompt, self.volume)
            self._owner, self._answered = asking, (*self._answered, prompt)
        progress(Progress(1, 1, "Segmenting"))
        return BoxMask.of(self._buffer != 0)

    def _begin(self, asking: NnInteractiveSession) -> None:
        self._owner, self._answered = None, ()
        with _told(self.place):
            self._session.reset_interactions()
            self._buffer.fill(0)
            if asking.initial is not None:
                self._session.add_initial_seg_interaction(
                    asking.initial.expand(self._buffer.shape).astype(np.uint8), run_prediction=False
                )
        self._owner = asking

    def close(self) -> None:
        """End the server's session; a local one ends by itself."""
        if hasattr(self._session, "close"):
            self._session.close()


def give(session: Any, prompt: Prompt, volume: Volume) -> None:
    """Hand one prompt to a session of nnInteractive, in voxels (z, y, x), and let it predict."""
    voxels = prompt_voxels(prompt, volume.geometry)
    box = Box.of(voxels.min(0), voxels.max(0) + 1)
    match prompt:
        case PointPrompt():
            session.add_point_interaction(tuple(map(int, voxels[0])), include_interaction=prompt.positive)
        case ScribblePrompt() | LassoPrompt():
            drawn = np.zeros(box.shape, np.uint8)
            drawn[tuple((voxels - box.start).T)] = 1
            lasso = isinstance(prompt, LassoPrompt)
            add = session.add_lasso_interaction if lasso else session.add_scribble_interaction
            add(drawn, include_interaction=prompt.positive, interaction_bbox=_as_bbox(box))
        case BoxPrompt():
            session.add_bbox_interaction(_as_bbox(box), include_interaction=prompt.positive)


def local_nninteractive(folder: Path, device: str = "auto") -> NnInteractiveModel:
    """Return the engine over a folder of nnInteractive's weights, run on this computer.

    Parameters
    ----------
    folder
        Holds ``plans.json``, ``dataset.json``, ``inference_info.json`` (or ``inference_session_class.json``) and
        one ``fold_*`` with a checkpoint.
    device
        As for every network.

    Raises
    ------
    RefusedError
        Where the folder is not one of nnInteractive (``"model.folder"``), its checkpoint wants more than
        numbers (``"model.unsafe"``), or its package is missing (``"model.package"``).
    """
    checkpoint = _checkpoint_in(folder)
    _require("nnInteractive.inference.inference_session", INSTALL_LOCAL)
    facts = facts_in(folder / "inference_info.json", "get the model again")
    card = ModelCard(
        id=f"nninteractive:{folder.name}",
        title=f"nnInteractive ({folder.name})",
        version=str(facts.get("version", "")),
        task="Click to segment anything, by a network trained on many 3D images",
        segments=(),
        channels=("any",),
        intensity="z-score of the image",
        code_license="Apache-2.0",
        weights_license=_known_terms(terms_in(folder)),
        intended_use="Any CT, MR or PET; research use, every segment needs a look by a person.",
    )

    def connect() -> Any:
        return _local_session(folder, checkpoint, device)

    return NnInteractiveModel(card, _capabilities(facts), connect)


def remote_nninteractive(address: str, key: str | None = None) -> NnInteractiveModel:
    """Return the engine over a server of nnInteractive, to which the image is sent.

    Parameters
    ----------
    address
        Such as ``"http://gpu-server:1527"``.
    key
        What the server asks for; none where it asks for nothing.

    Raises
    ------
    UsageError
        For an address that is none.
    RefusedError
        Where the server does not answer (``"model.server"``) or its client is missing (``"model.package"``).
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{address!r} is no address of a server: give one such as http://gpu-server:1527")
    _require("nnInteractive.inference.remote", INSTALL_REMOTE)

    def connect() -> Any:
        from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession

        with _told(address):
            return nnInteractiveRemoteInferenceSession(address, api_key=key)

    asked = connect()
    try:
        card = ModelCard(
            id=f"nninteractive:{parts.netloc}",
            title=f"nnInteractive at {parts.netloc}",
            version=str(asked.INFERENCE_SESSION_VERSION),
            task="Click to segment anything, by a network on a server",
            segments=(),
            channels=("any",),
            intensity="z-score of the image",
            code_license="Apache-2.0",
            weights_license=_known_terms(asked.license),
            intended_use=f"The image is sent to {parts.netloc}; research use.",
        )
        return NnInteractiveModel(
            card, _capabilities({"supported_interactions": asked.supported_interactions}), connect
        )
    finally:
        asked.close()


def _local_session(folder: Path, checkpoint: Path, device: str) -> Any:
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

    threads = import_torch().get_num_threads()
    session = nnInteractiveInferenceSession(resolve_device(device), torch_n_threads=threads, enable_undo=False)
    read_checkpoint(checkpoint)  # refuses by name what the next line would refuse in torch's words
    with _weights_only():
        session.initialize_from_trained_model_folder(str(folder), None, checkpoint.name)
    return session


@contextmanager
def _weights_only() -> Iterator[None]:
    """Let no checkpoint run code, though nnInteractive itself would allow it."""
    before = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"
    try:
        with import_torch().serialization.safe_globals(number_globals()):
            yield
    finally:
        if before is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = before


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Tell in one sentence what goes wrong in nnInteractive, in whatever words."""
    try:
        yield
    except VolsegError:
        raise
    except Exception as problem:
        text = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        if type(problem).__module__.split(".")[0] in ("httpx", "httpcore"):
            raise RefusedError(
                f"nnInteractive at {place} did not answer ({text}): check that the server runs and can be "
                "reached, or choose another engine",
                "model.server",
            ) from problem
        raise RefusedError(
            f"nnInteractive failed ({text}): take the prompt back, or choose another engine", "model.failed"
        ) from problem


def _as_image(voxels: NDArray[Any]) -> NDArray[Any]:
    """Return voxels (z, y, x) as nnInteractive takes them: (1, z, y, x), a type that its transport knows."""
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize <= 4 and voxels.dtype.isnative:
        return voxels[None]
    return voxels.astype(np.float32)[None]


def _as_bbox(box: Box) -> list[list[int]]:
    return [[start, stop] for start, stop in zip(box.start, box.stop, strict=True)]


def _checkpoint_in(folder: Path) -> Path:
    found = sorted(folder.glob("fold_*/checkpoint_final.pth")) if (folder / "plans.json").is_file() else []
    if len(found) != 1:
        raise RefusedError(
            f"{folder} is no folder of nnInteractive: it needs plans.json, dataset.json and one "
            "fold_*/checkpoint_final.pth; choose the folder that holds them",
            "model.folder",
        )
    return found[0]


def _known_terms(license: str | None) -> str:
    known = license and license != _UNKNOWN_TERMS
    return str(license) if known else f"not stated; the published weights are {PUBLISHED_TERMS}"


def _capabilities(facts: Mapping[str, Any]) -> Capabilities:
    """Return which prompts a network takes; one that says nothing takes all but boxes in 3D."""
    kinds = facts.get("supported_interactions")
    takes = kinds if isinstance(kinds, dict) else {}
    return replace(
        Capabilities(),
        points=bool(takes.get("points", True)),
        scribbles=bool(takes.get("scribble", True)),
        boxes=bool(takes.get("bbox2d", True)),
        lassos=bool(takes.get("lasso", True)),
        initial=bool(facts.get("supports_initial_label", True)),
    )


def _require(module: str, install: str) -> None:
    try:
        found = find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise RefusedError(f"nnInteractive is not installed: {install}", "model.package")
