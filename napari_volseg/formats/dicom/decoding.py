"""Compressed pixels and palettes, decoded in child processes with limits of memory and time.

Codecs are written in C, C++ and Rust, and damaged data makes some of them abort the process that they run in.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import JPEG2000TransferSyntaxes

from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.palette import PALETTE

#: Longest time for one image, s; the largest radiographs take a tenth of it.
SECONDS_PER_IMAGE = 9.0
_CHILD = Path(__file__).with_name("decoder_child.py")
#: Longest line of an answer, bytes.
_LINE = 1 << 12


class DecoderError(Exception):
    """A codec ran out of its limits, or took its process down."""


class CodecError(DecoderError):
    """A codec refused the data."""


class Decoder:
    """One child process; used by one thread at a time.

    Parameters
    ----------
    lean
        Whether it has OpenJPEG alone: grey JPEG 2000 needs no other library, and the others take as much memory as a
        hundred slices.
    """

    def __init__(self, lean: bool = False) -> None:
        self.lean = lean
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), *(["lean"] if lean else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def decode(self, images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
        """Yield the stored values (y, x), or (y, x, 3) of colours, of images that lie in one file.

        Raises
        ------
        DecoderError
            Where they can't be decoded within the limits.
        """
        try:
            requests = cast(IO[bytes], self._process.stdin)
            requests.write(json.dumps(_request(images)).encode() + b"\n")
            requests.flush()
        except OSError as error:
            raise DecoderError("the decoder ended") from error
        for image in images:
            yield self._answer(image)

    def _answer(self, image: Instance) -> NDArray[Any]:
        clock = threading.Timer(SECONDS_PER_IMAGE, self._process.kill)
        clock.start()
        try:
            return _read_answer(cast(IO[bytes], self._process.stdout), image)
        finally:
            clock.cancel()


def _request(images: Sequence[Instance]) -> dict[str, Any]:
    first = images[0]
    return {
        "path": os.path.abspath(first.path),
        "frames": [image.frame for image in images if image.frame is not None],
        "syntax": first.transfer_syntax,
        "bare": not first.has_preamble,
        "lut": first.has_lut,
        "raw": not first.colour,
        "palette": first.photometric == PALETTE,
    }


def _read_answer(answers: IO[bytes], image: Instance) -> NDArray[Any]:
    line = answers.readline(_LINE)
    if not line:
        raise DecoderError(f"the decoder aborted, or took more than {SECONDS_PER_IMAGE:g} s or too much memory")
    head = json.loads(line)
    if "error" in head:
        raise CodecError(head["error"])
    said = (image.rows, image.columns, *([3] * image.colour))
    if tuple(head["shape"]) != said:
        raise DecoderError(f"{tuple(head['shape'])} pixels where its header says {said}")
    pixels = np.empty(head["shape"], head["dtype"])
    view = pixels.reshape(-1).view(np.uint8).data
    filled = 0
    while filled < len(view):
        got = answers.readinto(view[filled:])  # type: ignore[attr-defined]
        if not got:
            raise DecoderError("the decoder ended early")
        filled += got
    return pixels


#: Processes that wait for work: to start one takes a quarter of a second.
_idle: list[Decoder] = []
_lock = threading.Lock()


def start_ahead(image: Instance) -> None:
    """Start a process that such images will want soon, where none waits; returns at once."""
    lean = _needs_openjpeg_alone(image)
    with _lock:
        if not any(decoder.lean == lean for decoder in _idle):
            _idle.append(Decoder(lean))


def decode_apart(images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
    """Yield the stored values of compressed images that lie in one file; shapes and errors as in ``decode``."""
    left = list(images)
    if _needs_openjpeg_alone(images[0]):
        try:
            for pixels in _decode(images, lean=True):
                left.pop(0)
                yield pixels
        except CodecError:  # another library may know better
            pass
    if left:
        yield from _decode(left, lean=False)


def _decode(images: Sequence[Instance], *, lean: bool) -> Iterator[NDArray[Any]]:
    with _borrowed(lean) as decoder:
        yield from decoder.decode(images)


def _needs_openjpeg_alone(image: Instance) -> bool:
    plain = not (image.colour or image.has_lut or image.photometric == PALETTE)
    return plain and image.transfer_syntax in JPEG2000TransferSyntaxes and _has_openjpeg()


@cache
def _has_openjpeg() -> bool:
    return importlib.util.find_spec("openjpeg") is not None


@contextmanager
def _borrowed(lean: bool) -> Iterator[Decoder]:
    """Lend a process; one that wasn't used to the end has answers left over and is ended."""
    with _lock:
        decoder = next((decoder for decoder in _idle if decoder.lean == lean), None)
        if decoder is not None:
            _idle.remove(decoder)
    if decoder is None or not decoder.is_alive:
        decoder = Decoder(lean)
    try:
        yield decoder
    except BaseException:
        decoder.close()
        raise
    with _lock:
        if len(_idle) < (os.cpu_count() or 1):
            _idle.append(decoder)
            return
    decoder.close()
