"""Networks like Segment Anything, as ONNX files: a box on a slice to a segment.

Kirillov et al., *Segment anything*, ICCV 2023; Ravi et al., *SAM 2*, 2024. A folder holds ``encoder.onnx``, from a
picture (1, 3, n, n) to what is seen on it, and ``decoder.onnx``, which takes that by the names of the encoder's
outputs or in their order, ``point_coords`` and ``point_labels`` (2 and 3 for the corners of a box), and, where it
wants them, ``mask_input``, ``has_mask_input`` and ``orig_im_size``; its first outputs are logits of masks (1, m,
rows, columns) and the overlaps (1, m) that are expected of them. The usual export tools write them so. ONNX files
hold no program.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, ModelCard, RefusedError
from napari_volseg.interactive.box_engine import BoxModel
from napari_volseg.interactive.facts import facts_in, terms_in
from napari_volseg.interactive.frames import Frame
from napari_volseg.interactive.neighbours import FloatArray

#: What installs the back end.
INSTALL = 'pip install "napari-volseg[onnx]"'
#: Mean and standard deviation of each colour, 0 to 255, to which Segment Anything's pictures are brought.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_ENCODER, _DECODER, _CARD = "encoder.onnx", "decoder.onnx", "card.json"
#: Corners of a box among a prompt's points.
_BOX_LABELS = (2.0, 3.0)
_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}
_PROMPTS = ("point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size")


@dataclass(frozen=True, slots=True)
class Colours:
    """How grey values become a network's picture: ``(255 v - mean) / std`` in each of three channels."""

    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD


class OnnxPrompter:
    """A network like Segment Anything; see the module.

    Parameters
    ----------
    folder
        Holds both files.
    colours
        How its pictures are made.

    Raises
    ------
    RefusedError
        Where a file can't be read or is no such network (``"model.folder"``).
    """

    def __init__(self, folder: Path, colours: Colours = Colours()) -> None:
        self._encoder, self._decoder = _opened(folder / _ENCODER), _opened(folder / _DECODER)
        self._colours = colours
        self._edge = _edge_of(self._encoder, folder / _ENCODER)
        self._features = [output.name for output in self._encoder.get_outputs()]
        _refuse_other(self._decoder, folder / _DECODER)

    @property
    def edge(self) -> int:
        """Edge of the square picture that it sees, pixels."""
        return self._edge

    def embedded(self, picture: FloatArray, frame: Frame) -> list[NDArray[np.float16]]:
        """Return what the encoder sees on a slice of grey values (rows, columns) from 0 to 1, half precision."""
        small = _resized(np.asarray(picture, np.float32), frame.inner, smooth=True)
        given = np.zeros((1, 3, self._edge, self._edge), np.float32)
        for channel, (mean, std) in enumerate(zip(self._colours.mean, self._colours.std, strict=True)):
            given[0, channel, : frame.inner[0], : frame.inner[1]] = (255 * small - mean) / std
        found = self._encoder.run(None, {self._encoder.get_inputs()[0].name: given})
        return [np.asarray(feature, np.float16) for feature in found]

    def answer(self, embedding: Sequence[NDArray[Any]], box: Box, frame: Frame) -> tuple[FloatArray, float]:
        """Return logits (rows, columns) of what a box holds on a slice, and the overlap that it expects, 0 to 1."""
        features = [np.asarray(feature, np.float32) for feature in embedding]
        masks, quality, *_ = self._decoder.run(None, self._question(features, box, frame))
        best = int(np.argmax(quality[0]))
        mask = np.asarray(masks[0, best], np.float32)
        if mask.shape != frame.inner:  # of the whole picture, be it coarser
            mask = _resized(mask, (self._edge, self._edge))[: frame.inner[0], : frame.inner[1]]
        return _resized(mask, frame.shape), float(quality[0, best])

    def _question(self, features: list[FloatArray], box: Box, frame: Frame) -> dict[str, NDArray[Any]]:
        """Return what the decoder is given: what was seen, by name or in order, and a box as its two corners."""
        left, top, right, bottom = frame.corners(box)
        quarter = self._edge // 4
        given = {
            "point_coords": np.array([[[left, top], [right, bottom]]], np.float32),
            "point_labels": np.array([_BOX_LABELS], np.float32),
            "mask_input": np.zeros((1, 1, quarter, quarter), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(frame.inner, np.float32),
        }
        named = dict(zip(self._features, features, strict=True))
        wanted = [entry.name for entry in self._decoder.get_inputs()]
        in_order = iter(features)
        given |= {name: named[name] if name in named else next(in_order) for name in wanted if name not in _PROMPTS}
        return {entry.name: given[entry.name].astype(_TYPES[entry.type]) for entry in self._decoder.get_inputs()}


def sam_model(folder: Path) -> BoxModel:
    """Return the engine over a folder with ``encoder.onnx`` and ``decoder.onnx``.

    ``card.json`` may say its ``title``, ``version`` and ``weights_license``, and ``mean`` and ``std`` of pictures,
    three numbers each for grey values from 0 to 255. Without it these are those of Segment Anything, and the terms
    are the first line of ``LICENSE``.

    Raises
    ------
    RefusedError
        Where a file is missing or unfit (``"model.folder"``, ``"model.card"``), or ONNX Runtime is missing
        (``"model.package"``).
    """
    for name in (_ENCODER, _DECODER):
        if not (folder / name).is_file():
            raise RefusedError(
                f"{folder} holds no {name}: choose the folder with {_ENCODER} and {_DECODER}", "model.folder"
            )
    if find_spec("onnxruntime") is None:
        raise RefusedError(f"ONNX Runtime is not installed: {INSTALL}", "model.package")
    facts = facts_in(folder / _CARD, "mend or remove it")
    colours = Colours(_three(facts, "mean", MEAN, folder), _three(facts, "std", STD, folder))
    prompter = OnnxPrompter(folder, colours)
    card = ModelCard(
        id=f"sam-onnx:{folder.name}",
        title=f"{facts.get('title', folder.name)} (boxes)",
        version=str(facts.get("version", "")),
        task="A box on a slice to a segment, slice by slice, by a network like Segment Anything",
        segments=(),
        channels=("any",),
        intensity="soft-tissue window for CT, percentiles otherwise",
        code_license="BSD-3-Clause",
        weights_license=str(facts.get("weights_license") or terms_in(folder) or "not stated"),
        checksum=_checksum(folder),
        intended_use="Things with a visible border; research use, every segment needs a look by a person.",
    )
    return BoxModel(card, partial(_same, prompter))


def _same(prompter: OnnxPrompter) -> OnnxPrompter:
    return prompter


def _opened(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as problem:  # ONNX Runtime has kinds of its own, none of them public
        reason = str(problem).splitlines()[0]
        raise RefusedError(f"{path} is no network that ONNX Runtime can read ({reason})", "model.folder") from problem


def _edge_of(encoder: Any, path: Path) -> int:
    """Return the edge of the picture that an encoder takes."""
    entries = encoder.get_inputs()
    shape = list(entries[0].shape) if len(entries) == 1 else []
    if len(shape) != 4 or shape[1] != 3 or not isinstance(shape[2], int) or shape[2] != shape[3]:
        raise RefusedError(
            f"{path} takes {shape or len(entries)} where one picture (1, 3, n, n) is wanted: "
            "export it for pictures of one size",
            "model.folder",
        )
    return int(shape[2])


def _refuse_other(decoder: Any, path: Path) -> None:
    """Refuse a decoder that takes no points, or answers with less than masks and their quality."""
    entries = decoder.get_inputs()
    names = [entry.name for entry in entries]
    if strange := [entry.type for entry in entries if entry.type not in _TYPES]:
        raise RefusedError(f"{path} takes {strange[0]}, which no such decoder does: export it anew", "model.folder")
    missing = [name for name in _PROMPTS[:2] if name not in names]
    if missing or len(decoder.get_outputs()) < 2:
        lacks = f"no {' and no '.join(missing)}" if missing else "no quality beside its masks"
        raise RefusedError(f"{path} is no decoder like Segment Anything's: it has {lacks}", "model.folder")


def _resized(picture: NDArray[np.float32], shape: tuple[int, int], *, smooth: bool = False) -> FloatArray:
    """Return a picture of another shape, linearly; ``smooth`` it before it gets smaller, against aliasing."""
    from skimage.transform import resize

    return np.asarray(resize(picture, shape, order=1, mode="edge", anti_aliasing=smooth), np.float32)


def _three(facts: Mapping[str, Any], name: str, usual: tuple[float, ...], folder: Path) -> tuple[float, ...]:
    """Return three numbers of a card."""
    found = facts.get(name, usual)
    fit = isinstance(found, list | tuple) and len(found) == 3 and all(isinstance(v, int | float) for v in found)
    if not fit or (name == "std" and not all(v > 0 for v in found)):
        raise RefusedError(
            f"{folder / _CARD} gives {found!r} as {name} where three numbers are wanted: mend it", "model.card"
        )
    return tuple(float(v) for v in found)


def _checksum(folder: Path) -> str:
    """Return the SHA-256 of both files, one after the other."""
    found = hashlib.sha256()
    for name in (_ENCODER, _DECODER):
        with (folder / name).open("rb") as file:
            while piece := file.read(1 << 20):
                found.update(piece)
    return found.hexdigest()
