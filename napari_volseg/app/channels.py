"""Which image is which channel of a model: matched by names, told with the reason, and never guessed in silence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from napari_volseg.app.on_grid import NOTHING, on_grid, require_overlap
from napari_volseg.core import CancelToken, Finding, ProgressCallback, RefusedError, UsageError, Volume
from napari_volseg.formats import FoundVolume, load, open_volume

if TYPE_CHECKING:
    from napari_volseg.app.application import Application

#: Key of the open image.
OPEN = "open"
NO_CHANNELS: Mapping[str, Path] = MappingProxyType({})
#: What contrast medium is called in names of T1 images, and how they say that there is none.
_CONTRAST = r"ce|gd|gad|gado|km|post|contrast|enhanced"
_WITHOUT = r"pre|non|no|without|w/o|ohne|nativ|native"
#: Sequences by what their names hold, the more telling first. A name that holds several of the plain ones is unclear.
_SEQUENCES = (
    ("FLAIR", r"flair|t2f"),
    ("ADC", r"adc"),
    ("DWI", r"dwi|b1000|trace"),
    ("SWI", r"swi"),
    ("T1CE", rf"t1w?[ _+-]*(?:{_CONTRAST})|t1w?[_+]?c|(?:{_CONTRAST})[ _-]*t1w?"),
)
_PLAIN = (("T1", r"t1(?:w|n)?"), ("T2", r"t2(?:w)?"), ("PD", r"pd(?:w)?"), ("CT", r"ct"), ("PET", r"pet|suv"))
_MODALITIES = {"CT": "CT", "PT": "PET"}


@dataclass(frozen=True, slots=True)
class Source:
    """An image that could be a channel.

    Parameters
    ----------
    key
        Tells it from others.
    title
        What people call it.
    sequence
        What its name or modality says that it is, empty where that is not clear.
    found
        Where it was found, None for the open image and for files.
    path
        A file or folder that was chosen, else None.
    """

    key: str
    title: str
    sequence: str = ""
    found: FoundVolume | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What a channel is to be.

    Parameters
    ----------
    channel
        Its name on the model's card.
    source
        The image, None where none is chosen yet.
    reason
        Why that image, or what is missing.
    """

    channel: str
    source: Source | None
    reason: str


def sequence_of(name: str, modality: str = "") -> str:
    """Return which sequence a name tells of, such as ``"T1CE"`` or ``"FLAIR"``; empty where that is not clear."""
    if modality in _MODALITIES:
        return _MODALITIES[modality]
    words = name.lower()
    for sequence, pattern in _SEQUENCES:
        if _holds(words, pattern) and not (sequence == "T1CE" and _holds(words, _WITHOUT)):
            return sequence
    told = [sequence for sequence, pattern in _PLAIN if _holds(words, pattern)]
    return told[0] if len(told) == 1 else ""


def _holds(words: str, pattern: str) -> bool:
    return re.search(rf"(?:^|[^a-z0-9])(?:{pattern})(?:[^a-z0-9]|$)", words) is not None


def sources_of(app: Application) -> tuple[Source, ...]:
    """Return the images in reach: the open one, what was found beside it, and files that were chosen."""
    case = app.case
    if case is None:
        return ()
    first = Source(OPEN, case.volume.name, sequence_of(case.volume.name, case.volume.modality))
    found = app.scan_result.found if app.scan_result is not None else ()
    own = set(case.volume.origin_provenance.paths)
    others = [
        Source(f"found {volume.id}", volume.description, sequence_of(volume.description, volume.modality), volume)
        for volume in found
        if not own & set(volume.paths)
    ]
    chosen = [Path(key) for key in app.tools.channels.values() if key != OPEN and not key.startswith("found ")]
    files = [Source(str(path), path.name, sequence_of(path.name), path=path) for path in dict.fromkeys(chosen)]
    return first, *others, *files


def choices_of(app: Application) -> tuple[Choice, ...]:
    """Return what each channel of the chosen model is to be; empty for models of one channel."""
    shelved = app.models.chosen
    if app.case is None or shelved is None or len(shelved.card.channels) < 2:
        return ()
    return choose(shelved.card.channels, sources_of(app), app.tools.channels)


def choose(channels: Sequence[str], sources: Sequence[Source], wished: Mapping[str, str]) -> tuple[Choice, ...]:
    """Return what each channel is to be: what was wished, else the one image whose name tells that it is it.

    Parameters
    ----------
    channels
        Names on the model's card.
    sources
        The images in reach, the open one first.
    wished
        Keys of images that the user chose, by channel.
    """
    by_key = {source.key: source for source in sources}
    return tuple(_choice(channel, sources, by_key.get(wished.get(channel, ""))) for channel in channels)


def _choice(channel: str, sources: Sequence[Source], wished: Source | None) -> Choice:
    if wished is not None:
        return Choice(channel, wished, "chosen by hand")
    sequence = sequence_of(channel)
    if not sequence:
        return Choice(channel, None, f"no name tells which image is {channel}: choose it")
    named = [source for source in sources if source.sequence == sequence]
    if any(source.key == OPEN for source in named):
        named = named[:1]  # the open one is looked at, and labels lie on its grid
    if len(named) == 1:
        return Choice(channel, named[0], f'its name, "{named[0].title}", tells {sequence}')
    if named:
        return Choice(channel, None, f"{len(named)} images are called {sequence}: choose one")
    return Choice(channel, None, f"no image in reach is called {sequence}: choose one")


def why_incomplete(choices: Sequence[Choice]) -> str | None:
    """Return why a model can't run with these channels, None where it can."""
    for choice in choices:
        if choice.source is None:
            return f"it needs an image of {choice.channel}, and {choice.reason}"
    keys = [choice.source.key for choice in choices if choice.source is not None]
    doubles = [choice.channel for choice in choices if choice.source and keys.count(choice.source.key) > 1]
    if doubles:
        return f"{' and '.join(doubles)} are the same image: choose another one"
    if choices and OPEN not in keys:
        return "none of its images is the open one, on whose grid the labels lie: choose it for one of them"
    return None


def load_channels(
    choices: Sequence[Choice], volume: Volume, progress: ProgressCallback, cancel: CancelToken
) -> tuple[list[Volume], list[Finding]]:
    """Return the images of a model's channels in the card's order, on the grid of the open one; takes a moment.

    Raises
    ------
    RefusedError, UsageError
        Where an image can't be opened, or does not lie where the open one does.
    """
    images, findings = [], []
    for choice in choices:
        image, told = _loaded(choice, volume, progress, cancel)
        images.append(image)
        findings += told
    return images, findings


def _loaded(
    choice: Choice, volume: Volume, progress: ProgressCallback, cancel: CancelToken
) -> tuple[Volume, list[Finding]]:
    source = choice.source
    if source is None:
        raise UsageError(f"there is no image of {choice.channel}: {choice.reason}")
    if source.key == OPEN:
        return volume, []
    if source.found is not None:
        image = load(source.found, progress=progress, cancel=cancel)
    else:
        assert source.path is not None
        image = open_volume(source.path, progress=progress, cancel=cancel)
    return onto_grid(image, volume, choice.channel)


def onto_grid(image: Volume, volume: Volume, channel: str) -> tuple[Volume, list[Finding]]:
    """Return an image on the grid of another one, resampled where it lies on its own, and what is to be told of that.

    Raises
    ------
    RefusedError
        Where both say that they lie in different frames of reference.
    UsageError
        Where they have no part of the patient in common.
    """
    target = volume.geometry
    image = image.at_time(0) if image.time is not None else image
    own, other = image.geometry.frame_of_reference_uid, target.frame_of_reference_uid
    if own and other and own != other:
        raise RefusedError(
            f"{image.name} ({channel}) and {volume.name} do not share a frame of reference, so that their voxels "
            "can't be put together: register them first, or choose another image",
            "channels.frame_of_reference",
        )
    if image.geometry.same_grid(target):
        return image, []
    require_overlap(volume, image)
    values = on_grid(image, target)
    outside = values == NOTHING
    values[outside] = float(np.min(image.voxels))
    told = f"{image.name} ({channel}) was resampled onto the grid of {volume.name}"
    if outside.any():
        told += f"; {outside.mean():.0%} of that grid lies outside of it and was filled with its lowest value"
    moved = replace(image, voxels=values, geometry=target, provenance=volume.provenance)
    return moved, [Finding("channels.resampled", told, "note")]


def on_one_grid(
    images: Sequence[Volume], volume: Volume, channels: Sequence[str]
) -> tuple[list[Volume], list[Finding]]:
    """Return the images of all channels on the grid of one of them, ``volume``, and what is to be told of that."""
    moved = [
        (image, []) if image is volume else onto_grid(image, volume, channel)
        for image, channel in zip(images, channels, strict=True)
    ]
    return [image for image, _ in moved], [finding for _, told in moved for finding in told]


def by_name(channels: Sequence[str], given: Mapping[str, Path]) -> list[Path | None]:
    """Return the file of each channel in their order, None for the one that no file was given for.

    Raises
    ------
    UsageError
        For a name that is no channel, and where files are missing or none is left for the image itself.
    """
    known = {name.lower(): name for name in channels}
    for name in given:
        if name.lower() not in known:
            raise UsageError(f'"{name}" is no channel of the model: its channels are {", ".join(channels)}')
    files = {known[name.lower()]: path for name, path in given.items()}
    left = [name for name in channels if name not in files]
    if len(left) != 1:
        what = "none of them is left for IN" if not left else f"no file is given for {', '.join(left)}"
        raise UsageError(
            f"the model has {len(channels)} channels ({', '.join(channels)}), and {what}: "
            "give --channel NAME=PATH for all but the one that IN is"
        )
    return [files.get(name) for name in channels]
