"""The process that undoes the compression of pixels, so that a codec that aborts takes nobody with it.

Run as a program by ``decoding``, with a word that says which libraries are enough (``_ENOUGH``). It reads one request
a line (JSON) on standard input and answers each image with a line (JSON) that gives its shape and type, followed by
its bytes. Nothing of the package is imported, to start fast.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

import numpy as np

#: What pydicom imports where it is there and nothing here needs: it downloads test files.
UNUSED = ("requests", "tqdm")
#: Codecs other than OpenJPEG and that of run lengths; they take nearly half of the memory.
OTHER_CODECS = ("gdcm", "PIL", "jpeg_ls")
#: What is imported while nobody waits for it, and what is left out, by the word with which this is run.
_ENOUGH = {"codestream": ("openjpeg", ()), "lean": ("pydicom.pixels", OTHER_CODECS), "all": ("pydicom.pixels", ())}
#: Address space for the work on one image, bytes: several copies of the largest that is accepted.
MEMORY_BYTES = 3 * 2**30
#: Room for answers that nobody has read yet, bytes: as much as Linux grants to everyone.
PIPE_BYTES = 1 << 20
#: How far decoding steps back behind the window that waits for it and is looked at meanwhile (nice(2)).
NICENESS = 5
#: What ends the fragments of compressed pixels (PS3.5 A.4).
_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
#: Characters of a codec's message that are passed on.
_MESSAGE = 500


def main() -> None:
    """Answer requests until standard input ends, which it does when the parent is gone."""
    warnings.simplefilter("ignore")
    _limit_memory()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    module, unused = _ENOUGH[sys.argv[1]]
    _leave_out((*UNUSED, *unused))
    importlib.import_module(module)

    _widen(1)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what codecs print must not end up between the answers
    for line in sys.stdin:
        _answer(json.loads(line), answers)
        answers.flush()


def _answer(request: Mapping[str, Any], answers: IO[bytes]) -> None:
    try:
        for pixels in _decoded(request):
            head = {"shape": pixels.shape, "dtype": pixels.dtype.str}
            answers.write(json.dumps(head).encode() + b"\n")
            answers.write(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    except BaseException as error:  # codecs in Rust raise PanicException, which is no Exception
        message = str(error)[:_MESSAGE] or type(error).__name__
        answers.write(json.dumps({"error": message}).encode() + b"\n")


def _decoded(request: Mapping[str, Any]) -> Iterator[Any]:
    yield from [_from_codestream(request)] if request["codestream"] else _by_pydicom(request)


def _from_codestream(request: Mapping[str, Any]) -> Any:
    """Return the pixels (y, x) of an image of which a scan has seen that it is nothing but a codestream."""
    from openjpeg.utils import decode_pixel_data

    at, length, dtype, version = request["codestream"]
    with open(request["path"], "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        file.seek(at)
        codestream = file.read(length + len(_END))
    if [status.st_size, status.st_mtime_ns] != version or codestream[length:] != _END:
        raise ValueError("the file is another one than was scanned")
    return np.frombuffer(decode_pixel_data(codestream[:length], version=2), dtype).reshape(request["shape"])


def _by_pydicom(request: Mapping[str, Any]) -> Iterator[Any]:
    import pydicom
    from pydicom.pixels import apply_modality_lut, iter_pixels  # type: ignore[attr-defined]
    from pydicom.uid import UID

    path, frames = request["path"], request["frames"]
    if request["palette"]:
        yield from _coloured(request)
        return
    if frames and not request["bare"]:
        yield from iter_pixels(path, indices=frames, raw=request["raw"])
        return
    dataset = pydicom.dcmread(path, force=request["bare"])
    dataset.file_meta.TransferSyntaxUID = UID(request["syntax"])
    if frames:
        yield from iter_pixels(dataset, indices=frames, raw=request["raw"])
    else:
        yield apply_modality_lut(dataset.pixel_array, dataset) if request["lut"] else dataset.pixel_array


def _coloured(request: Mapping[str, Any]) -> Iterator[Any]:
    """Yield red, green and blue (y, x, 3) of palette images.

    Indices outside a table mean its ends (PS3.3 C.7.6.3.1.5), and are put there before pydicom makes them as narrow
    as the table's entries.
    """
    import pydicom
    from pydicom.pixels import apply_color_lut, iter_pixels  # type: ignore[attr-defined]
    from pydicom.uid import UID

    dataset = pydicom.dcmread(request["path"], force=request["bare"])
    dataset.file_meta.TransferSyntaxUID = UID(request["syntax"])
    entries, first, bits = dataset.RedPaletteColorLookupTableDescriptor
    entries = entries or 1 << 16
    wide = bits > 8 or len(dataset.get("RedPaletteColorLookupTableData", b"")) >= 2 * entries
    if not dataset.file_meta.TransferSyntaxUID.is_little_endian or (entries > 256 and not wide):
        raise ValueError("a palette in big endian, or of more than 256 entries of one byte")
    for pixels in iter_pixels(dataset, indices=request["frames"] or None, raw=True):
        inside = np.clip(pixels.astype(np.int32), first, first + entries - 1)
        yield apply_color_lut(inside, dataset)[..., :3]


def _leave_out(modules: Iterable[str]) -> None:
    """Have the import of modules fail, as if they were not installed."""
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]


def _widen(pipe: int) -> None:
    """Let a pipe take a whole image where the system can do that, so that the next one need not wait."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    main()
