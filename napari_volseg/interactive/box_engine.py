"""Networks that see one slice at a time, behind the protocol of all click engines: a box, and on slice by slice.

Such networks were trained on boxes, so that clicks and strokes are refused. To look at a slice takes them long, to
say what a box on it holds does not: what they have seen is remembered for further boxes and segments.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    CT_WINDOWS,
    Box,
    BoxMask,
    BoxPrompt,
    CancelToken,
    ModelCard,
    Progress,
    ProgressCallback,
    Prompt,
    UsageError,
    Volume,
    auto_window,
    no_progress,
)
from napari_volseg.interactive.appearance import GreyScale
from napari_volseg.interactive.asking import Asked, as_volume, asked_by, in_front, joined
from napari_volseg.interactive.frames import Frame
from napari_volseg.interactive.listing import PromptList, nothing, obeying
from napari_volseg.interactive.neighbours import FloatArray
from napari_volseg.interactive.protocol import Capabilities, PartCallback, no_parts
from napari_volseg.interactive.sweeping import Seen, Stack, swept

#: Memory for slices that are remembered, bytes, and the most of them.
_MEMORY, _REMEMBERED = 256 * 2**20, 128
#: Voxels along each axis by which an image is windowed that is not CT.
_SAMPLED = 100


class SlicePrompter(Protocol):
    """A network that sees one slice at a time."""

    @property
    def edge(self) -> int:
        """Edge of the square picture that it sees, pixels."""

    def embedded(self, picture: FloatArray, frame: Frame) -> Sequence[Any]:
        """Return what it sees on a slice of grey values (rows, columns) from 0 to 1, as arrays to be kept."""

    def answer(self, embedding: Sequence[Any], box: Box, frame: Frame) -> tuple[FloatArray, float]:
        """Return logits (rows, columns) of what a box holds on a slice, and the overlap that it expects, 0 to 1."""


class BoxModel:
    """A box to a segment by a network that sees one slice at a time.

    Parameters
    ----------
    card
        Facts about it.
    load
        Returns the network; called before the first segment.
    """

    def __init__(self, card: ModelCard, load: Callable[[], SlicePrompter]) -> None:
        self._card, self._load = card, load
        self._lock = threading.Lock()
        self._network: SlicePrompter | None = None
        self._eye: _Eye | None = None

    @property
    def card(self) -> ModelCard:
        """Facts about the engine."""
        return self._card

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with prompts: boxes alone."""
        return Capabilities(points=False, scribbles=False, lassos=False, negative=False)

    def open(
        self, volume: Volume, *, initial: BoxMask | None = None, forbidden: NDArray[Any] | None = None
    ) -> BoxSession:
        """Start a segment on a 3D volume; the network is loaded at the first one.

        Raises
        ------
        RefusedError
            Where it can't be loaded.
        """
        prompts = PromptList(volume, forbidden)
        with self._lock:
            if self._network is None:
                self._network = self._load()
            if self._eye is None or self._eye.volume is not volume:
                self._eye = _Eye(self._network, volume)
            return BoxSession(self._card.title, self._eye, prompts, initial)


class BoxSession:
    """One segment in the making; see :class:`napari_volseg.interactive.protocol.InteractiveSession`.

    Boxes add to a segment that is there already. Of boxes on several slices of a plane about one structure, each
    answers for the slices that are nearest to it.
    """

    def __init__(self, title: str, eye: _Eye, prompts: PromptList, initial: BoxMask | None) -> None:
        self._title = title
        self._eye = eye
        self._list = prompts
        self._results: dict[tuple[Prompt, ...], BoxMask] = {(): initial or nothing()}

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts in the order in which they were given."""
        return self._list.prompts

    def add(self, prompt: Prompt) -> None:
        """Append a box; UsageError for a click or a stroke, which the network does not understand."""
        if not isinstance(prompt, BoxPrompt):
            raise UsageError(f"{self._title} takes boxes alone: draw a box, or choose another engine for clicks")
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
        """Return the mask for the present boxes."""
        prompts = self.prompts
        if prompts not in self._results:
            found = self._results[()]
            boxes = [prompt for prompt in prompts if isinstance(prompt, BoxPrompt)]
            for asked in asked_by(boxes, self._eye.volume.geometry):
                told = partial(self._tell, parts, found)
                found = joined(found, self._eye.found(asked, progress, cancel or CancelToken(), told))
            self._results[prompts] = obeying(found, self._list)
        progress(Progress(1, 1, "Segmenting"))
        return self._results[prompts]

    def _tell(self, parts: PartCallback, before: BoxMask, found: BoxMask) -> None:
        """Tell of a slice that was found, with what the segment held there before."""
        mask, forbidden = found.mask | before.within(found.box), self._list.forbidden
        parts(BoxMask(found.box, mask if forbidden is None else mask & ~forbidden[found.box.slices]))


class _Eye:
    """A network before a volume; it remembers the slices that it has seen last."""

    def __init__(self, network: SlicePrompter, volume: Volume) -> None:
        self.volume = volume
        self._network = network
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[int, int], Sequence[Any]] = OrderedDict()
        self._low, self._high = _limits(volume)

    def found(self, asked: Asked, progress: ProgressCallback, cancel: CancelToken, parts: PartCallback) -> BoxMask:
        """Return what a box holds, and how it goes on, voxels (z, y, x); each slice is told once it is found."""

        def look(box: Box) -> Seen:
            cancel.check()
            progress(Progress(0, 0, "Segmenting slice by slice"))
            return self._look(asked.axis, box)

        voxels = np.moveaxis(self.volume.voxels, asked.axis, 0)
        scale = GreyScale.of(self.volume, _values(voxels[asked.box.slices]))
        spacing = in_front(self.volume.geometry.spacing, asked.axis)
        stack = Stack(voxels.shape, spacing, look, lambda box: scale.apply(voxels[box.slices]))
        return as_volume(
            swept(stack, asked.box, asked.reach, cancel, lambda part: parts(as_volume(part, asked.axis))), asked.axis
        )

    def _look(self, axis: int, box: Box) -> Seen:
        _, *shape = in_front(self.volume.geometry.shape, axis)
        _, *spacing = in_front(self.volume.geometry.spacing, axis)
        frame = Frame.of((shape[0], shape[1]), (spacing[0], spacing[1]), self._network.edge)
        with self._lock:
            logits, quality = self._network.answer(self._embedding(axis, box.start[0], frame), box, frame)
        return Seen(logits > 0, quality)

    def _embedding(self, axis: int, index: int, frame: Frame) -> Sequence[Any]:
        """Return what the network sees on a slice, from memory where it can."""
        key = (axis, index)
        if key not in self._seen:
            values = _values(np.take(self.volume.voxels, index, axis))
            picture = np.clip((values - self._low) / (self._high - self._low), 0, 1)
            self._seen[key] = self._network.embedded(picture, frame)
        self._seen.move_to_end(key)
        size = sum(part.nbytes for part in self._seen[key])
        while len(self._seen) > min(_REMEMBERED, max(1, _MEMORY // size)):
            self._seen.popitem(last=False)
        return self._seen[key]


def _values(voxels: NDArray[Any]) -> FloatArray:
    return np.nan_to_num(np.asarray(voxels, np.float32))


def _limits(volume: Volume) -> tuple[float, float]:
    """Return the values that are shown as black and as white, in the volume's unit."""
    if volume.modality == "CT" and volume.quantity == "HU":
        return CT_WINDOWS["soft-tissue"].limits
    thinned = volume.voxels[tuple(slice(None, None, max(1, n // _SAMPLED)) for n in volume.voxels.shape)]
    return auto_window(np.ascontiguousarray(thinned)).limits
