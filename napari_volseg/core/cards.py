"""What a model says of itself before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from napari_volseg.core.card_steps import CardStep
from napari_volseg.core.segments import Segment


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Facts about a model, read from its own files.

    Parameters
    ----------
    id
        What the user types: a registered name, or the folder's name.
    title
        Short text for menus.
    version, task
        Release and purpose in words.
    segments
        What it labels, in the values of its output.
    channels
        Names of its input channels, such as ``("CT",)``.
    spacing
        Voxel spacing (z, y, x) at which it works, mm; None for the spacing of the input.
    orientation
        Axis codes (z, y, x) in which it was trained, empty where its files do not say.
    intensity
        The normalization in words.
    code_license, weights_license
        SPDX identifiers or plain words; empty where unknown.
    checksum
        SHA-256 of the weights, empty without weights.
    intended_use
        What it is for, and what not.
    postprocessing
        What is done to its labels afterwards, in this order, unless the user does not want it.
    """

    id: str
    title: str
    version: str
    task: str
    segments: tuple[Segment, ...]
    channels: tuple[str, ...] = ("CT",)
    spacing: tuple[float, float, float] | None = None
    orientation: str = ""
    intensity: str = ""
    code_license: str = ""
    weights_license: str = ""
    checksum: str = ""
    intended_use: str = ""
    postprocessing: tuple[CardStep, ...] = ()

    @property
    def postprocessing_words(self) -> tuple[str, ...]:
        """What is done to its labels afterwards, a phrase for each step."""
        names = {segment.value: segment.name for segment in self.segments}
        return tuple(step.words(names) for step in self.postprocessing)
