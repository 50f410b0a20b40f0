"""What every click-to-segment engine promises, whatever is behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_volseg.core import BoxMask, CancelToken, ModelCard, ProgressCallback, Prompt, Volume, no_progress

PartCallback = Callable[[BoxMask], None]


def no_parts(_: BoxMask) -> None:
    """Ignore parts of an answer."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do with prompts.

    Parameters
    ----------
    points, scribbles, boxes, lassos
        Kinds of prompt that it takes.
    negative
        Whether a prompt may say "this does not belong to the segment".
    initial
        Whether it can start from an existing segment and change only what the prompts ask for.
    three_dimensional
        Whether a prompt on one slice segments the volume, not that slice alone.
    """

    points: bool = True
    scribbles: bool = True
    boxes: bool = True
    lassos: bool = True
    negative: bool = True
    initial: bool = True
    three_dimensional: bool = True


class InteractiveSession(Protocol):
    """One segment in the making: prompts in, mask out.

    A session is used by one thread at a time. It never writes to the volume or to the arrays that it was given.
    """

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts in the order in which they were given."""

    def add(self, prompt: Prompt) -> None:
        """Append a prompt.

        Raises
        ------
        UsageError
            Where the prompt lies outside the volume.
        RefusedError
            With code ``"prompt.locked"`` where a positive prompt lies wholly on forbidden voxels.
        """

    def remove(self, prompt: Prompt) -> None:
        """Take back the last prompt that equals ``prompt``.

        Raises
        ------
        UsageError
            Where the session holds no such prompt.
        """

    def result(
        self,
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        parts: PartCallback = no_parts,
    ) -> BoxMask:
        """Return the mask for the present prompts, voxels (z, y, x) of the volume.

        The mask is a deterministic function of the volume, the initial mask, the forbidden voxels and the list of
        prompts. Voxels of positive prompts are inside and voxels of negative prompts outside; where two prompts
        disagree about a voxel the later one wins. Forbidden voxels are never inside. Without prompts it is the
        initial mask, or empty.

        Parameters
        ----------
        progress
            Told how far it is.
        cancel
            Looked at between steps.
        parts
            Given, on the thread that asks, what is found so far, where the answer takes long: a mask whose box stands
            for itself until another part or the answer says otherwise.

        Raises
        ------
        CancelledError
            Soon after ``cancel`` was raised; the session stays usable.
        """


class InteractiveModel(Protocol):
    """An engine that turns prompts into a mask."""

    @property
    def card(self) -> ModelCard:
        """Facts about the engine."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with prompts."""

    def open(
        self, volume: Volume, *, initial: BoxMask | None = None, forbidden: NDArray[Any] | None = None
    ) -> InteractiveSession:
        """Start a segment on a 3D volume.

        Parameters
        ----------
        volume
            The image; it is read only around the prompts.
        initial
            An existing segment to correct: prompts then change only their neighbourhood.
        forbidden
            Boolean (z, y, x) of the volume's shape, true where the segment may never be (locked segments).

        Raises
        ------
        UsageError
            For a 4D volume.
        GeometryError
            Where ``forbidden`` does not have the volume's shape.
        """
