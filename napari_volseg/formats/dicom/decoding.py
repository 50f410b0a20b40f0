"""Compressed pixels and palettes, decoded in child processes with limits of memory and time.

Codecs are written in C, C++ and Rust, and damaged data makes some of them abort the process that they run in.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, cast

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
#: What a process imports: OpenJPEG alone, OpenJPEG and pydicom, or pydicom with every library of codecs, which takes
#: as much memory as a hundred slices.
Libraries = Literal["codestream", "lean", "all"]


class DecoderError(Exception):
    """A codec ran out of its limits, or took its process down."""


class CodecError(DecoderError):
    """A codec refused the data."""


class Decoder:
    """One child process; used by one thread at a time.

    Parameters
    ----------
    libraries
        Which it has.
    """

    def __init__(self, libraries: Libraries = "all") -> None:
        self.libraries = libraries
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), libraries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # threads that it never uses take half of its start
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
        """Yield the stored values (y, x), or (y, x, 3) of colours, of images, those of a file in a row.

        The next file is asked for before the answers for this one are read, so that the process never waits.

        Raises
        ------
        DecoderError
            Where they can't be decoded within the limits.
        """
        files = [list(group) for _, group in itertools.groupby(images, lambda image: image.path)]
        self._ask(files[0])
        for file, following in itertools.zip_longest(files, files[1:]):
            if following:
                self._ask(following)
            for image in file:
                yield self._answer(image)

    def _ask(self, images: Sequence[Instance]) -> None:
        try:
            requests = cast(IO[bytes], self._process.stdin)
            requests.write(json.dumps(_request(images, self.libraries)).encode() + b"\n")
            requests.flush()
        except OSError as error:
            raise DecoderError("the decoder ended") from error

    def _answer(self, image: Instance) -> NDArray[Any]:
        clock = threading.Timer(SECONDS_PER_IMAGE, self._process.kill)
        clock.start()
        try:
            return _read_answer(cast(IO[bytes], self._process.stdout), image)
        finally:
            clock.cancel()


def _request(images: Sequence[Instance], libraries: Libraries) -> dict[str, Any]:
    first = images[0]
    codestream = first.codestream if libraries == "codestream" else None
    return {
        "path": os.path.abspath(first.path),
        "frames": [image.frame for image in images if image.frame is not None],
        "codestream": codestream and astuple(codestream),
        "shape": (first.rows, first.columns),
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
    libraries = _enough_for(image)
    with _lock:
        if not any(decoder.libraries == libraries for decoder in _idle):
            _idle.append(Decoder(libraries))


def decode_apart(images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
    """Yield the stored values of compressed images, of one file or codestreams; shape and errors as in ``decode``."""
    left, libraries = list(images), _enough_for(images[0])
    if libraries != "all":
        try:
            for pixels in _decode(images, libraries):
                left.pop(0)
                yield pixels
        except CodecError:  # another library may know better
            pass
    if left:
        yield from _decode(left, "all")


def _decode(images: Sequence[Instance], libraries: Libraries) -> Iterator[NDArray[Any]]:
    with _borrowed(libraries) as decoder:
        yield from decoder.decode(images)


def _enough_for(image: Instance) -> Libraries:
    plain = not (image.colour or image.has_lut or image.photometric == PALETTE)
    if not (plain and image.transfer_syntax in JPEG2000TransferSyntaxes and _has_openjpeg()):
        return "all"
    return "lean" if image.codestream is None else "codestream"


@cache
def _has_openjpeg() -> bool:
    return importlib.util.find_spec("openjpeg") is not None


@contextmanager
def _borrowed(libraries: Libraries) -> Iterator[Decoder]:
    """Lend a process; one that wasn't used to the end has answers left over and is ended."""
    with _lock:
        decoder = next((decoder for decoder in _idle if decoder.libraries == libraries), None)
        if decoder is not None:
            _idle.remove(decoder)
    if decoder is None or not decoder.is_alive:
        decoder = Decoder(libraries)
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
