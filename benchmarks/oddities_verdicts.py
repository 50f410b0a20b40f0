"""What became of a row in a reader's hands: beads in place, words said, or how it ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from oddities_rows import Row, Times

RIGHT, RIGHT_TOLD, RIGHT_UNSAID = "right", "right + message", "right, unsaid"
GUESSED, GUESSED_TOLD = "guessed silently", "guessed + message"
REFUSED, ASKS = "refused", "asks"
WRONG_TOLD, WRONG_SILENT = "wrong + message", "WRONG SILENTLY"
CRASH, HANG = "crash", "hang"
#: Of a row that has no meaning for a reader.
NOT_ASKED = "–"
OUTCOMES = (
    RIGHT, RIGHT_TOLD, RIGHT_UNSAID, ASKS, REFUSED, GUESSED_TOLD, GUESSED, WRONG_TOLD, WRONG_SILENT, CRASH, HANG,
)  # fmt: skip

#: Errors by which a library says that it did not foresee the file.
_UNFORESEEN = (
    "AssertionError", "AttributeError", "IndexError", "KeyError", "OverflowError", "RecursionError", "TypeError",
    "UnboundLocalError", "ZeroDivisionError",
)  # fmt: skip
_MEMORY = re.compile(r"MemoryError|bad_alloc|allocat\w* (failed|memory)|[Ff]ailed to allocate", re.IGNORECASE)
#: Lines on standard output that are a message; standard error is one as a whole.
_MESSAGE = re.compile(r"warning|error|unable|unsupported|missing|issue|incomplete|check|\?", re.IGNORECASE)
#: Files that a converter makes beside its main one, on an even or upright grid.
_CORRECTED = re.compile(r"_(Eq|Tilt)(_\d+)?[a-z]?\.nii")


@dataclass(frozen=True)
class Score:
    """How far off the beads are in the volume that fits best; ``lost`` counts those that are nowhere or doubled."""

    mm: float
    lost: int

    def within(self, tolerance: float) -> bool:
        return self.lost == 0 and self.mm < tolerance


@dataclass(frozen=True)
class Verdict:
    """What became of a row: ``OUTCOMES``, the beads' error where a volume came, and the words that were said."""

    outcome: str
    score: Score | None = None
    corrected: Score | None = None
    words: str = ""


def score_of(volumes: Sequence[Any], row: Row, times: Times) -> Score | None:
    """Return how well the best volumes put the beads of all times; None where there is no volume."""
    frames = [frame for volume in volumes for frame in volume["frames"]]
    if not frames:
        return None
    best = [min((_of_frame(frame, row, beads) for frame in frames), key=lambda s: (s.lost, s.mm)) for beads in times]
    return Score(max(score.mm for score in best), max(score.lost for score in best))


def _of_frame(frame: Sequence[Any], row: Row, beads: Any) -> Score:
    places = dict(zip(row.values, frame, strict=True))
    seen = [value for value in beads if len(places[value]) == 1]
    lost = len(beads) - len(seen)
    if not seen:
        return Score(0.0, lost)
    apart = np.array([np.subtract(places[value][0], beads[value]) for value in seen])
    if row.anywhere:
        apart = apart - apart.mean(0)
    # A 2D reader doesn't tell the third coordinate.
    return Score(float(np.sqrt(np.nansum(apart**2, axis=1)).max()), lost)


def of_parts(volumes: Sequence[Any], row: Row, times: Times) -> Score:
    """Return how well each bead is put by one of several volumes that hold the slices between them."""
    alone = [{value: place} for beads in times for value, place in beads.items()]
    scores = [score for one in alone if (score := score_of(volumes, row, (one,))) is not None]
    return Score(max(score.mm for score in scores), sum(score.lost for score in scores))


def judge(row: Row, answer: Any, clean: Iterable[str]) -> Verdict:
    """Return the verdict on another library; ``clean`` are the words that it says to a file without fault."""
    words = said(answer, clean)
    if answer["hung"]:
        return Verdict(HANG, words=words)
    if answer["signal"] or _MEMORY.search(answer.get("text", "") + answer.get("error", "")):
        return Verdict(CRASH, words=f"signal {answer['signal']}" if answer["signal"] else answer.get("text", words))
    if answer.get("error") in _UNFORESEEN:
        return Verdict(CRASH, words=f"{answer['error']}: {answer['text']}")
    volumes = answer.get("result") or []
    if not volumes:
        return Verdict(REFUSED, words=answer.get("text", "") or words)
    return _of_volumes(row, volumes, words)


def _of_volumes(row: Row, volumes: Sequence[Any], words: str) -> Verdict:
    corrected = [volume for volume in volumes if _CORRECTED.search(volume["name"])]
    main = [volume for volume in volumes if volume not in corrected] or corrected
    if not row.truths:
        return Verdict(WRONG_TOLD if words else WRONG_SILENT, words=words)
    scores = [score for truth in row.truths if (score := score_of(main, row, truth)) is not None]
    if not scores:
        return Verdict(REFUSED, words=words)
    # Of several readings, all are possible: one of them must fit, and the farthest may be the true one.
    best = min(scores, key=lambda score: (score.lost, score.mm))
    if row.demand in "AX" and len(main) > 1:
        best = min(best, of_parts(main, row, row.truths[0]), key=lambda score: (score.lost, score.mm))
    right = best.within(row.tolerance)
    outcome = _outcome(row, right, bool(words))
    shown = max(scores, key=lambda score: (score.lost, score.mm)) if right and len(scores) > 1 else best
    return Verdict(outcome, shown, score_of(corrected, row, row.truths[0]) if corrected else None, words)


def _outcome(row: Row, right: bool, told: bool) -> str:
    if not right:
        return WRONG_TOLD if told else WRONG_SILENT
    if len(row.truths) > 1:
        return GUESSED_TOLD if told else GUESSED
    if told:
        return RIGHT_TOLD
    return RIGHT if row.demand == "R" else RIGHT_UNSAID


def said(answer: Any, clean: Iterable[str] = ()) -> str:
    """Return what a reader said beyond its usual words: standard error, and warnings on standard output."""
    lines = [*answer["stderr"].splitlines(), *filter(_MESSAGE.search, answer["stdout"].splitlines())]
    known = {_general(line) for line in clean}
    return "\n".join(line.strip() for line in lines if line.strip() and _general(line) not in known)


def _general(line: str) -> str:
    """Return a line without the numbers and paths that differ from row to row."""
    return re.sub(r"[\d.]+", "0", re.sub(r"\S*/\S*", "/", line)).strip()
