"""The engine ``network``: click to segment with the embedded network, in agreement with the engine without weights.

The network has learned from synthetic volumes what a click means, the engine ``regions`` measures this image; where
they disagree, the surer one wins. Imported without PyTorch; that is needed from the first prompt on.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    Box,
    BoxMask,
    CancelToken,
    ModelCard,
    Progress,
    ProgressCallback,
    Prompt,
    Volume,
    no_progress,
)
from napari_volseg.interactive.cleanup import connected_to, fill_holes, placed
from napari_volseg.interactive.click_weights import ClickWeights
from napari_volseg.interactive.listing import PromptList, nothing, obeying
from napari_volseg.interactive.looking import EDGE, Eye, Look, Network, Sight
from napari_volseg.interactive.protocol import Capabilities, PartCallback, no_parts
from napari_volseg.interactive.regions import Scene, advance
from napari_volseg.interactive.seeds import box_indices, seeds_of

#: What the other engine's word counts, in logits.
_OTHER = 2.0


class NetworkSession(PromptList):
    """One segment in the making; see :class:`napari_volseg.interactive.protocol.InteractiveSession`."""

    def __init__(
        self, network: Network, volume: Volume, initial: BoxMask | None, forbidden: NDArray[Any] | None
    ) -> None:
        super().__init__(volume, forbidden)
        self._eye = Eye(network, volume)
        self._scene = Scene(volume, initial, forbidden)
        self._results: dict[tuple[Prompt, ...], tuple[BoxMask, Look | None]] = {(): (initial or nothing(), None)}

    def result(
        self,
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        parts: PartCallback = no_parts,
    ) -> BoxMask:
        """Return the mask for the present prompts."""
        prompts, token = self.prompts, cancel or CancelToken()
        known = next(n for n in range(len(prompts), -1, -1) if prompts[:n] in self._results)
        for n in range(known, len(prompts)):
            progress(Progress(n - known, len(prompts) - known, "Segmenting"))
            before, last = self._results[prompts[:n]]
            self._results[prompts[: n + 1]] = self._advance(prompts[: n + 1], before, last, token, parts)
        progress(Progress(1, 1, "Segmenting"))
        return self._results[prompts][0]

    def _advance(
        self, prompts: Sequence[Prompt], before: BoxMask, last: Look | None, cancel: CancelToken, parts: PartCallback
    ) -> tuple[BoxMask, Look | None]:
        """Return mask and look after the last of ``prompts``; what the engine without weights says is told first."""
        if not before.mask.any() and not any(prompt.positive for prompt in prompts):
            return before, last
        other = advance(self._scene, prompts, before, cancel)
        parts(other)
        if last is None:
            look = self._eye.first(prompts, before, cancel)
        else:
            look = self._eye.again(prompts, before, last, cancel)
        word = _OTHER * (2 * look.patch.take_box(other.mask, other.box) - 1)
        look = replace(look, logit=look.logit + word)
        return self._finished(prompts, look, before), look

    def _finished(self, prompts: Sequence[Prompt], look: Look, before: BoxMask) -> BoxMask:
        """Return the mask in voxels: what lies beyond the cube stays, prompts are obeyed, stray parts dropped."""
        inner = look.patch.box
        box = inner.union(before.box) if before.mask.any() else inner
        mask = before.within(box).copy()
        mask[_within(inner, box)] = look.patch.give(look.logit) > 0
        seeds = seeds_of(prompts, self.volume.geometry)
        positive, negative = box_indices(seeds.positive, box), box_indices(seeds.negative, box)
        mask[tuple(positive.T)] = True
        mask = fill_holes(mask, negative)
        mask[tuple(negative.T)] = False
        anchors = positive
        if self._scene.initial is not None:
            anchors = np.concatenate([anchors, np.argwhere(mask & self._scene.initial.within(box))])
        return obeying(placed(connected_to(mask, anchors), box), self)


def _within(inner: Box, outer: Box) -> tuple[slice, slice, slice]:
    z, y, x = (slice(a - o, b - o) for a, b, o in zip(inner.start, inner.stop, outer.start, strict=True))
    return z, y, x


class NetworkModel:
    """Click to segment with the embedded network.

    Parameters
    ----------
    weights
        What the network has learned.
    device
        Where it runs: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    backend
        What computes it, see `napari_volseg.inference.backends`.
    """

    def __init__(self, weights: ClickWeights, device: str = "auto", backend: str = "auto") -> None:
        self._weights, self._device, self._backend = weights, device, backend
        self._lock = threading.Lock()
        self._opened: Network | None = None

    @property
    def card(self) -> ModelCard:
        """Facts about the engine."""
        facts = self._weights.facts
        return ModelCard(
            id="network",
            title=str(facts.get("title", "Network")),
            version=str(facts.get("version", "1")),
            task="Click to segment by a network that has learned from synthetic volumes",
            segments=(),
            channels=("any",),
            intensity="the cube's own range, and two windows around the clicked intensity",
            code_license="BSD-3-Clause",
            weights_license=str(facts.get("weights_license", "")),
            checksum=str(facts["sha256"]),
            intended_use="Any CT or MR; research use, every segment needs a look by a person.",
        )

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with prompts."""
        return Capabilities()

    def open(
        self, volume: Volume, *, initial: BoxMask | None = None, forbidden: NDArray[Any] | None = None
    ) -> NetworkSession:
        """Start a segment on a 3D volume."""
        return NetworkSession(self.network, volume, initial, forbidden)

    def network(self, sight: Sight) -> NDArray[np.float32]:
        """Return the network's answer; it is loaded at the first call."""
        with self._lock:
            if self._opened is None:
                self._opened = self._load()
        return self._opened(sight)

    def _load(self) -> Network:
        import torch

        from napari_volseg.inference.backends import open_module
        from napari_volseg.inference.devices import resolve_device
        from napari_volseg.interactive.click_network import CHANNELS, ClickAnswer
        from napari_volseg.interactive.encoding import encoded

        device = resolve_device(self._device)
        module = ClickAnswer(self._weights.load()).eval()
        forward, _ = open_module(module, (1, CHANNELS, EDGE, EDGE, EDGE), device, self._backend)

        def answer(sight: Sight) -> NDArray[np.float32]:
            with torch.inference_mode():
                found = forward(encoded(sight, device))[0]
            return np.asarray(found.float().cpu().numpy())

        return answer
