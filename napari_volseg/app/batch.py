"""A folder of cases to a folder of their labels: reading, network and writing overlap; a bad case refuses itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_volseg.app import headless
from napari_volseg.app.sniff import looks_medical
from napari_volseg.core import (
    CancelledError,
    CancelToken,
    Progress,
    ProgressCallback,
    UsageError,
    Volume,
    no_progress,
)
from napari_volseg.inference import SegmentationModel
from napari_volseg.inference.many import in_stages

#: Endings that are not part of a case's name, the longer first.
_ENDINGS = (".nii.gz", ".seg.nrrd", ".nii", ".hdr", ".img", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".zip")


@dataclass(frozen=True, slots=True)
class BatchCase:
    """One case of many.

    Parameters
    ----------
    source
        File or folder that is opened.
    target
        Where its labels go.
    """

    source: Path
    target: Path


@dataclass(frozen=True, slots=True, eq=False)
class CaseDone:
    """How a case went.

    Parameters
    ----------
    case
        Which one.
    segmented
        What was written; None where it was not.
    error
        Why not.
    """

    case: BatchCase
    segmented: headless.Segmented | None = None
    error: Exception | None = None


def find_cases(folder: Path, out: Path, ending: str = ".nii.gz") -> tuple[BatchCase, ...]:
    """Return the cases of a folder: each folder in it, and each file of a known format or zip archive.

    Raises
    ------
    UsageError
        Where there is none, where two would be written to one file, and where labels would go among the cases.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder of cases: give one that holds a file or folder for each case")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{out} lies in {folder}, where labels would count as cases: choose a folder elsewhere")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    cases = tuple(BatchCase(path, out / f"{_name(path)}{ending}") for path in entries if _is_case(path))
    if not cases:
        raise UsageError(f"{folder} holds no case: each is a file (NIfTI, NRRD, MetaImage, DICOM, zip) or a folder")
    by_target: dict[Path, BatchCase] = {}
    for case in cases:
        other = by_target.setdefault(case.target, case)
        if other is not case:
            raise UsageError(
                f"{other.source.name} and {case.source.name} would both be written to {case.target.name}: rename one"
            )
    return cases


def _is_case(path: Path) -> bool:
    if path.is_dir():
        return True
    return looks_medical(path) or path.name.lower().endswith((".hdr", ".zip"))


def _name(path: Path) -> str:
    ending = "" if path.is_dir() else next((e for e in _ENDINGS if path.name.lower().endswith(e)), "")
    return path.name[: len(path.name) - len(ending)]


def segment_cases(
    cases: Sequence[BatchCase],
    model: SegmentationModel,
    read: Callable[[Path], Volume],
    *,
    device: str = "auto",
    backend: str = "auto",
    postprocess: bool = True,
    skip_air: bool = False,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Iterator[CaseDone]:
    """Segment cases in their order and yield each once it is written, or refused.

    The next case is read while the network runs over one, and the one before is written.

    Parameters
    ----------
    cases
        What is read, and where labels go; folders are made where missing.
    model
        Loaded once.
    read
        Opens a case.
    device, backend, postprocess, skip_air
        As in `headless.segment_path`.
    progress
        Told of the network's windows, with the number of the case.
    cancel
        Ends the run; what is written stays. It is also raised where the caller wants no more.

    Raises
    ------
    CancelledError
        Where the token was raised.
    """
    token = cancel or CancelToken()

    def opened(number: int, case: BatchCase) -> _Opened:
        token.check()
        try:
            return _Opened(number, case, read(case.source))
        except CancelledError:
            raise
        except Exception as error:  # one case must not take the others along
            return _Opened(number, case, error=error)

    def segmented(item: _Opened) -> CaseDone:
        if item.volume is None:
            return CaseDone(item.case, error=item.error)
        told = _of_case(progress, item.number, len(cases))
        try:
            done = headless.segment_volume(
                item.volume,
                model,
                device=device,
                backend=backend,
                postprocess=postprocess,
                skip_air=skip_air,
                progress=told,
                cancel=token,
            )
        except CancelledError:
            raise
        except Exception as error:
            return CaseDone(item.case, error=error)
        return CaseDone(item.case, done)

    source = (opened(number, case) for number, case in enumerate(cases))
    for done in in_stages(source, segmented, token.cancel):
        yield _written(done)


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    number: int
    case: BatchCase
    volume: Volume | None = None
    error: Exception | None = None


def _written(done: CaseDone) -> CaseDone:
    if done.segmented is None:
        return done
    try:
        done.case.target.parent.mkdir(parents=True, exist_ok=True)
        headless.save_labels(done.case.target, done.segmented)
    except Exception as error:
        return replace(done, segmented=None, error=error)
    return done


def _of_case(progress: ProgressCallback, number: int, count: int) -> ProgressCallback:
    def tell(now: Progress) -> None:
        progress(replace(now, message=f"case {number + 1} of {count}: {now.message}"))

    return tell
