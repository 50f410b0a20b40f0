"""This project on a row, from outside: ``info --json`` and ``convert``, their exit codes, words and files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from typing import Any

from oddities_process import Server
from oddities_rows import Answer, Row
from oddities_verdicts import ASKS, REFUSED, Score, Verdict, judge, of_parts, score_of

DONE, EXIT_REFUSED, EXIT_UNDECIDED = 0, 3, 4


class Ours:
    """The command line, and what reads the files that it writes."""

    def __init__(self, python: str) -> None:
        self._command, self._files = Server(python, "ours"), Server(python, "written")

    def close(self) -> None:
        """End both servers."""
        self._command.close()
        self._files.close()

    def info(self, row: Row, flags: Sequence[str] = ()) -> tuple[Any, Any]:
        """Return the process and the parsed list of a source."""
        done = self._command.ask(arguments=["info", "--json", str(row.source), *flags])
        return done, json.loads(done["stdout"] or '{"volumes": [], "refused": []}')

    def convert(self, row: Row, flags: Sequence[str] = (), volumes: Sequence[str] = ()) -> Any:
        """Convert a source, or several volumes of it, and return the process that went worst with all results."""
        with tempfile.TemporaryDirectory() as folder:
            done = [
                self._command.ask(
                    arguments=["convert", str(row.source), f"{folder}/{number}.nii.gz", *flags, *chosen]
                )
                for number, chosen in enumerate([("--volume", name) for name in volumes] or [()])
            ]
            seen = self._files.ask(source=str(row.source), work=folder, values=row.values)
        worst = max(done, key=lambda one: (one["hung"], one["signal"] or 0, one["exit"] or 0))
        return {**worst, "stderr": "".join(one["stderr"] for one in done), "result": seen["result"]}


def judge_ours(row: Row, ours: Ours) -> tuple[Verdict, list[str]]:
    """Return the verdict on a row, and what falls short of its demand."""
    process, listed = ours.info(row)
    names = [volume["id"] for volume in listed["volumes"]]
    done = ours.convert(row, volumes=names if len(names) > 1 else ())
    faults = [f"{what} ended by {one}" for what, one in (("info", process), ("convert", done)) if not _ended(one)]
    if row.demand == "X":
        return _refused(row, process, listed, done, faults)
    if row.demand == "A":
        return _asked(row, ours, listed, done, faults)
    verdict = judge(row, done, ())
    faults += _misplaced(row, verdict.score)
    if done["exit"] != DONE or process["exit"] != DONE:
        faults.append(f"info ended with {process['exit']} and convert with {done['exit']}: {done['stderr']}")
    if len(names) != 1 + row.others:
        faults.append(f"{len(names)} volumes are listed, {1 + row.others} are there")
    told = {(finding["code"], finding["severity"]) for volume in listed["volumes"] for finding in volume["warnings"]}
    if row.code and not any(code == row.code for code, _ in told):
        faults.append(f"info does not tell {row.code}")
    if row.demand == "W":
        if (row.code, "warning") not in told:
            faults.append(f"info does not warn of {row.code}")
        if "napari-volseg: warning:" not in done["stderr"]:
            faults.append("convert does not warn")
    return verdict, faults


def _ended(process: Any) -> bool:
    return process["exit"] in (DONE, EXIT_REFUSED, EXIT_UNDECIDED) and not process["hung"]


def _misplaced(row: Row, score: Score | None) -> list[str]:
    if score is None or not score.within(row.tolerance):
        return [f"beads are off: {score}"]
    return []


def _refused(row: Row, process: Any, listed: Any, done: Any, faults: list[str]) -> tuple[Verdict, list[str]]:
    if done["exit"] != EXIT_REFUSED:
        return judge(row, done, ()), [*faults, f"convert ended with {done['exit']} where it must refuse"]
    if process["exit"] != EXIT_REFUSED:
        faults.append(f"info ended with {process['exit']} where it must refuse")
    if row.code not in {refused["code"] for refused in listed["refused"]}:
        faults.append(f"info does not name {row.code} but {[r['code'] for r in listed['refused']]}")
    return Verdict(REFUSED, words=done["stderr"].strip()), faults + _unclear(done["stderr"])


def _unclear(words: str) -> list[str]:
    sentence = words.strip()
    if "\n" in sentence or ": " not in sentence.removeprefix("napari-volseg: "):
        return [f"not one sentence with value and cure: {sentence!r}"]
    return []


def _asked(row: Row, ours: Ours, listed: Any, done: Any, faults: list[str]) -> tuple[Verdict, list[str]]:
    open_ones = [decision for volume in listed["volumes"] for decision in volume["decisions"]]
    named = [d for d in open_ones if (d["keyword"], d["code"]) == (row.keyword, row.code)]
    if not named:
        faults.append(f"info lists {[(d['keyword'], d['code']) for d in open_ones]} instead of {row.code}")
    flag = f"--{row.keyword.replace('_', '-')}"
    if done["exit"] != EXIT_UNDECIDED:
        return judge(row, done, ()), [*faults, f"convert ended with {done['exit']} where it must ask"]
    if flag not in done["stderr"] or not all(choice in done["stderr"] for d in named for choice in d["choices"]):
        faults.append(f"the question does not name {flag} and its choices: {done['stderr']}")
    scores = [_answered(row, ours, answer, faults) for answer in row.answers]
    _refuse(row, ours, named, flag, faults)
    placed = [score for score in scores if score is not None]
    worst = max(placed, key=lambda score: (score.lost, score.mm)) if placed else None
    return Verdict(ASKS, worst, words=done["stderr"].strip()), faults


def _answered(row: Row, ours: Ours, answer: Answer, faults: list[str]) -> Score | None:
    """Return how right the volume is that an answer makes; of blocks, whether all beads are among them."""
    flags, told = answer.flags, " ".join(answer.flags)
    names = [volume["id"] for volume in ours.info(row, flags)[1]["volumes"]] if answer.blocks else []
    done = ours.convert(row, flags, names)
    if done["exit"] != DONE:
        faults.append(f"{told} ended with {done['exit']}: {done['stderr']}")
    if answer.blocks:
        faults += [f"{told} makes {len(names)} volumes"] if len(names) != answer.blocks else []
        score = of_parts(done["result"], row, row.truths[0])
    else:
        score = score_of(done["result"], row, answer.times)
        if "napari-volseg: warning:" not in done["stderr"]:
            faults.append(f"{told} is done without a word")
    if not row.told:
        return _unplaced(row, ours, flags, score, faults)
    faults += [f"{told}: {fault}" for fault in _misplaced(row, score)]
    return score


def _unplaced(row: Row, ours: Ours, flags: Sequence[str], score: Score | None, faults: list[str]) -> None:
    """Find fault with values of a volume that has no place, and with a place where there can be none."""
    if score is None or score.lost:
        faults.append(f"values are off: {score}")
    if any(volume["calibrated"] for volume in ours.info(row, flags)[1]["volumes"]):
        faults.append("a size in mm is claimed")


def _refuse(row: Row, ours: Ours, named: Sequence[Any], flag: str, faults: list[str]) -> None:
    if not any("refuse" in decision["choices"] for decision in named):
        return
    done = ours.convert(row, (flag, "refuse"))
    if done["exit"] != EXIT_REFUSED:
        faults.append(f"{flag} refuse ended with {done['exit']}")
