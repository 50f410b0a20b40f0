"""Compressed pixels and palettes, decoded in child processes with limits of memory and time.

Codecs are written in C, C++ and Rust, and damaged data makes some of them abort the process that they run in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.palette import PALETTE

#: Longest time for one image, s; the largest radiographs take a tenth of it.
SECONDS_PER_IMAGE = 9.0
_CHILD = Path(__file__).with_name("decoder_child.py")
#: Longest line of an answer, bytes.
_LINE = 1 << 12


class DecoderError(Exception):
    """A codec failed, ran out of its limits, or took its process down."""


class Decoder:
    """One child process; used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD)],
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
        raise DecoderError(head["error"])
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


def start_ahead() -> None:
    """Start a process that will be wanted soon, where none waits; returns at once."""
    with _lock:
        if not _idle:
            _idle.append(Decoder())


@contextmanager
def _borrowed() -> Iterator[Decoder]:
    """Lend a process; one that wasn't used to the end has answers left over and is ended."""
    with _lock:
        decoder = _idle.pop() if _idle else None
    if decoder is None or not decoder.is_alive:
        decoder = Decoder()
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


def decode_apart(images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
    """Yield the stored values of compressed images that lie in one file; shapes and errors as in ``decode``."""
    with _borrowed() as decoder:
        yield from decoder.decode(images)
