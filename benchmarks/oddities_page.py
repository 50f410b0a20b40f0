"""The page on oddities: what the figures mean, sums, and a line a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oddities_verdicts import CRASH, HANG, NOT_ASKED, OUTCOMES, REFUSED, RIGHT, RIGHT_TOLD, WRONG_SILENT

#: Outcomes that need no figure.
_PLAIN = (RIGHT, RIGHT_TOLD, REFUSED, CRASH, HANG)

_HEAD = """\
# Oddities of DICOM and NIfTI, and who fails where

Made by `benchmarks/oddities.py` ([how to run it](../benchmarks/README.md)). Each row is a file or folder with one
thing odd about it, written by the recipes of the tests. Beads, single voxels of distinct value off every centre,
tell by their place and value where a reader puts the image.

**Demand**: R load right · W load right and warn · X refuse · A ask.
**mm**: the largest distance between where a reader puts a bead and where the file's own tags put it; "values" where
the value of a bead is nowhere or twice in the array.

| outcome | means |
|---|---|
| right | all beads within 0.001 mm (more only where the slices themselves jitter), all values exact |
| right + message | the same, and something was said: any warning counts, to the point or not |
| right, unsaid | the same without a word where a warning, a question or a refusal is due |
| asks | does nothing until a choice is given; the figure is the largest error of all answers |
| refused | ends with an error, or makes no volume |
| guessed | the file allows several readings and one was taken; the figure is how far off the others are |
| wrong + message | beads or values are wrong, and something was said |
| **WRONG SILENTLY** | beads or values are wrong, and nothing was said |
| crash | an error that the library did not foresee (such as IndexError), a signal, or no memory left |
| hang | more than {seconds:.0f} s |
| – | has no meaning for this reader |

- `ours` is this project's command line: `info --json`, `convert`, and `convert` again with each answer.
- `dcm2niix` is judged by its main file; the figure of a corrected second one is in brackets.
- `naive` is pydicom in the loop of its tutorials: InstanceNumber orders, PixelSpacing and SliceThickness are the
  spacing, the first file's slope is that of all.
- `simpleitk`, `dicom2nifti` and `nibabel` are called as their documentation shows. All but `ours` get a folder
  without sub-folders, except where these are the oddity.
- The mosaics of D21 carry made-up private headers, shorter than a scanner's; real ones dcm2niix reads right
  ([geometry.md](geometry.md)).
- Every reading is a process of its own with {memory} GiB of address space.
"""


def page(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield _HEAD.format(seconds=report["seconds"], memory=report["memory_gib"])
    yield f"Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}."
    yield ""
    for title, rows in report["rows"].items():
        readers = list(rows[0]["verdicts"])
        yield f"## {title}: {len(rows)} rows\n"
        yield from _sums(rows, readers)
        yield ""
        yield f"| | oddity | demand | {' | '.join(readers)} |"
        yield f"|{'---|' * (3 + len(readers))}"
        for row in rows:
            cells = [cell(row["verdicts"][reader]) for reader in readers]
            yield f"| {row['number']} | {row['words']} | {row['demand']} | {' | '.join(cells)} |"
        yield ""
    yield from _elsewhere()


def _sums(rows: Sequence[Mapping[str, Any]], readers: Sequence[str]) -> Iterator[str]:
    counts = {reader: Counter(row["verdicts"][reader]["outcome"] for row in rows) for reader in readers}
    yield f"| rows that are | {' | '.join(readers)} |"
    yield f"|{'---|' * (1 + len(readers))}"
    for outcome in OUTCOMES:
        shown = f"**{outcome}**" if outcome == WRONG_SILENT else outcome
        yield f"| {shown} | {' | '.join(str(counts[reader][outcome]) for reader in readers)} |"
    short = sum(1 for row in rows if row["verdicts"]["ours"]["faults"])
    yield f"\nRows of ours that fall short of the demand: {short}."


def cell(verdict: Mapping[str, Any]) -> str:
    """Return an outcome with its figure."""
    outcome = verdict["outcome"]
    shown = f"**{outcome}**" if outcome == WRONG_SILENT else outcome
    if outcome == NOT_ASKED:
        return outcome
    figure = f" {_figure(verdict['score'])}" if outcome not in _PLAIN and verdict["score"] else ""
    corrected = f" ({_figure(verdict['corrected'])})" if verdict["corrected"] else ""
    fault = " **falls short**" if verdict.get("faults") else ""
    return shown + figure + corrected + fault


def _figure(score: Mapping[str, Any]) -> str:
    mm = score["mm"]
    words = [f"{mm:.0f} mm" if mm >= 99.5 else f"{mm:.2g} mm" if mm >= 5e-4 else "0 mm"]
    return ", ".join([*(words if mm or not score["lost"] else []), *(["values"] if score["lost"] else [])])


def _elsewhere() -> Iterator[str]:
    yield "## Not judged from outside\n"
    yield (
        "N20 and N23 as label maps (rounded or refused), N42 (labels by intent) and N44 (no export takes over a "
        "header) are about labels, which `convert` does not make: `tests/formats/test_formats_nifti_oddities.py`."
    )
