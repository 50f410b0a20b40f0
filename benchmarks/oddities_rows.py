"""The rows of ``oddities.py``: what the tests' recipes write, and what is true of it, apart from any reader."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "formats"))

import dicom_corpus
import nifti_corpus

#: Value and place (x, y, z), mm, LPS, of each bead, for each time.
Times = tuple[Mapping[float, tuple[float, ...]], ...]

#: Refused rows of NIfTI whose voxels and place are all there for a reader that looks past what is wrong.
_STILL_THERE = ("N21-vector", "N26", "N29-nan", "N32", "N37")
#: Rows whose files say nothing that could be right: loading them at all is wrong.
_MEANINGLESS = ("D38", "D54a", "D56", "D68b", "D69e", "D70c", "D71", "D74b")


@dataclass(frozen=True)
class Answer:
    """What the command line is given to answer a question, and what must come of it."""

    flags: tuple[str, ...]
    times: Times = ()
    blocks: int = 0


@dataclass(frozen=True)
class Row:
    """One oddity on disk.

    Parameters
    ----------
    number, words
        Of the catalogue, such as ``"D9"``, and what is odd.
    demand
        ``"R"`` right, ``"W"`` right with a warning, ``"X"`` refused, ``"A"`` asked.
    source
        What to open.
    truths
        What may be true: several where the files allow several readings; none where nothing can be.
    tolerance
        Of a bead, mm.
    code
        Of the finding, refusal or question that this project must tell.
    keyword
        Of the question.
    answers
        To the question.
    others
        Volumes beside the one in question.
    told
        Whether the files tell where the beads are; where not, the truth is what was written out of them.
    anywhere
        Whether only directions are in question, so that the origin counts for nothing.
    """

    number: str
    words: str
    demand: str
    source: Path
    truths: tuple[Times, ...]
    tolerance: float = 1e-3
    code: str = ""
    keyword: str = ""
    answers: tuple[Answer, ...] = ()
    others: int = 0
    told: bool = True
    anywhere: bool = False

    @property
    def values(self) -> list[float]:
        """The values of all beads."""
        times = [*self.truths, *(answer.times for answer in self.answers)]
        return sorted({value for truth in times for beads in truth for value in beads})


def dicom_rows(folder: Path) -> Iterator[Row]:
    """Write the DICOM rows, one folder each, and yield them."""
    for name, row in dicom_corpus.ROWS.items():
        number, words = name.split(" ", 1)
        place = folder / number
        try:
            truth = row.make(place)
        except BaseException as error:
            if type(error).__name__ != "Skipped":
                raise
            print(f"{name} is not made: {error}", file=sys.stderr)
            continue
        keyword = _KEYWORDS.get(row.code, "on_missing_slice") if row.verdict == "A" else ""
        answers = tuple(_dicom_answers(row, truth, keyword))
        yield Row(
            number,
            words,
            row.verdict,
            place / truth.entry,
            _dicom_truths(number, truth, answers),
            row.tolerance,
            row.code,
            keyword,
            answers,
            truth.others,
            all(place is not None for beads in truth.beads for place in beads.values()),
        )


#: Direction cosines that are none: a reader may normalize them or take them as they stand.
_COSINES = {"D44b": (1.01, 0, 0, 0, 1, 0), "D44c": (1, 0, 0, 0.01, 0.99995, 0)}
_KEYWORDS = {
    "dicom.uneven_spacing": "on_uneven_spacing",
    "dicom.duplicate_position": "on_duplicate_slice",
    "dicom.no_orientation": "on_no_geometry",
    "dicom.no_position": "on_missing_position",
    "dicom.mixed_series": "on_mixed_series",
}


def _dicom_truths(number: str, truth: dicom_corpus.Truth, answers: Sequence[Answer]) -> tuple[Times, ...]:
    """Return what may be true: what the recipe says, each answer, and cosines taken as they stand."""
    if number.startswith(_MEANINGLESS):
        return ()
    readings = [_times(truth)]
    if number in _COSINES:
        base = dicom_corpus.BASE
        raw = replace(base, orientation=_COSINES[number], step=(0, 0, base.gap))
        readings.append(({value: tuple(raw.place(index)) for value, index in base.beads.items()},))
    chosen = [answer.times for answer in answers if answer.times]
    readings += [times for times in chosen if len(chosen) > 1 and times not in readings]
    return tuple(readings)


def _times(truth: dicom_corpus.Truth) -> Times:
    written = {value: dicom_corpus.BASE.place(index) for value, index in dicom_corpus.BASE.beads.items()}
    return tuple(
        {value: tuple(written[value] if place is None else place) for value, place in beads.items()}
        for beads in truth.beads
    )


def _dicom_answers(row: dicom_corpus.Row, truth: dicom_corpus.Truth, keyword: str) -> Iterator[Answer]:
    also = tuple(word for name, answer in truth.also.items() for word in _flag(name, answer))
    for answer, outcome in row.answers.items():
        flags = (*_flag(keyword, answer), *also)
        yield Answer(flags, blocks=truth.blocks) if outcome is None else Answer(flags, _times(outcome(truth)))


def _flag(keyword: str, answer: str) -> tuple[str, str]:
    return f"--{keyword.replace('_', '-')}", answer


def nifti_rows(folder: Path) -> Iterator[Row]:
    """Write the NIfTI and Analyze rows, one folder each, and yield them."""
    for name, opens in nifti_corpus.OPENS.items():
        demand = "W" if opens.warns else "R"
        code = (*opens.warns, *opens.notes, "")[0]
        times = (_beads(opens.affine, opens.scale, opens.offset),)
        yield _nifti_row(folder, name, opens.recipe, demand, (times,), code=code)
    for name, (recipe, times) in _further().items():
        yield _nifti_row(folder, name, recipe, "R", (times,))
    for name, (recipe, keyword, readings) in nifti_corpus.ASKS.items():
        truths = {answer: (_beads(affine),) for answer, affine in readings.items()}
        answers = tuple(Answer(_flag(keyword, answer), times) for answer, times in truths.items())
        code = "nifti.forms_differ" if keyword == "form" else "nifti.orientation_unknown"
        told: dict[str, Any] = {"code": code, "keyword": keyword, "answers": answers}
        yield _nifti_row(folder, name, recipe, "A", tuple(truths.values()), anywhere=keyword != "form", **told)
    for name, (recipe, code) in nifti_corpus.REFUSED.items():
        truths = ((_beads(nifti_corpus.AFFINE),),) if name.startswith(_STILL_THERE) else ()
        yield _nifti_row(folder, name, recipe, "X", truths, code=code)


def _nifti_row(
    folder: Path, name: str, recipe: nifti_corpus.Recipe, demand: str, truths: tuple[Times, ...], **told: Any
) -> Row:
    place = folder / name
    place.mkdir(parents=True)
    return Row(name, nifti_corpus.WORDS[name], demand, recipe.write(place), truths, **told)


def _beads(affine: np.ndarray, scale: float = 1, offset: float = 0) -> dict[float, tuple[float, ...]]:
    return {
        value * scale + offset: tuple(nifti_corpus.TO_LPS @ (affine[:3, :3] @ stored + affine[:3, 3]))
        for stored, value in nifti_corpus.BEADS.items()
    }


def _further() -> dict[str, tuple[nifti_corpus.Recipe, Times]]:
    """Return the rows of the catalogue that the tests judge one by one."""
    beads, affine = _beads(nifti_corpus.AFFINE), nifti_corpus.AFFINE
    large, flat = (tuple(nifti_corpus.TO_LPS @ (affine @ index)[:3]) for index in ((2, 3, 4, 1), (7, 2, 0, 1)))
    return {
        "N21-time": (nifti_corpus.two_times(), (beads, {2 * value: place for value, place in beads.items()})),
        "N23-large": (nifti_corpus.large_integers(), ({2**53 + 1: large},)),
        "N27": (nifti_corpus.flat(2.5), ({70: flat},)),
        "N41": (nifti_corpus.not_numbers(), (beads,)),
        "N42": (nifti_corpus.Recipe(fields={"intent_code": 1002}), (beads,)),
    }
