"""Oddities of DICOM and NIfTI: this project and other libraries on the same files, and who fails where.

    python benchmarks/oddities.py --peers PYTHON [--only D9 N2 …] [--json FILE] [--markdown FILE]

Writes every row of the tests' corpora to a temporary folder, opens each with each library in a process of its own,
and judges by where the beads are, what their values are, and what was said. ``README.md`` tells how to make the
peers' environment.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from oddities_ours import Ours, judge_ours
from oddities_page import page
from oddities_process import MEMORY, SECONDS, Server
from oddities_rows import Row, dicom_rows, nifti_rows
from oddities_verdicts import NOT_ASKED, Verdict, judge

PEERS = {"DICOM": ("dcm2niix", "simpleitk", "dicom2nifti", "naive"), "NIfTI and Analyze": ("nibabel", "simpleitk")}
#: A row without fault, by which a reader's usual words are known.
CLEAN = {"DICOM": "D1", "NIfTI and Analyze": "N1-sform"}
#: Rows about an index of files, which no other library here opens.
OURS_ALONE = ("D74b",)
#: Rows that are odd by their folders.
NESTED = ("D73",)
_PACKAGES = ("dcm2niix", "SimpleITK", "dicom2nifti", "pydicom", "nibabel", "numpy")


def for_peers(row: Row, place: Path) -> Path:
    """Return what a library is given: one flat folder where folders are not what is odd, and no DICOMDIR alone."""
    if row.source.name == "DICOMDIR":
        return row.source.parent
    if not row.source.is_dir() or row.number in NESTED:
        return row.source
    for number, file in enumerate(sorted(file for file in row.source.rglob("*") if file.is_file())):
        shutil.copy(file, place / f"{number:03d}_{file.name}")
    return place


def read(server: Server, row: Row) -> Any:
    """Return what a library made of a row."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as work:
        return server.ask(source=str(for_peers(row, Path(place))), work=work, values=row.values)


def judge_all(rows: Sequence[Row], readers: Iterable[str], clean: str, peers: str) -> list[dict[str, Any]]:
    """Return a line of verdicts for each row, ours first."""
    ours, servers = Ours(sys.executable), {reader: Server(peers, reader) for reader in readers}
    usual = {}
    for reader, server in servers.items():
        answer = read(server, next(row for row in rows if row.number == clean))
        usual[reader] = [*answer["stdout"].splitlines(), *answer["stderr"].splitlines()]
    lines = []
    for row in rows:
        print(f"{row.number} {row.words}", file=sys.stderr)
        verdict, faults = judge_ours(row, ours)
        for fault in faults:
            print(f"    falls short: {fault}", file=sys.stderr)
        verdicts = {"ours": {**asdict(verdict), "faults": faults}}
        for reader, server in servers.items():
            asked = row.number not in OURS_ALONE
            verdicts[reader] = asdict(judge(row, read(server, row), usual[reader]) if asked else Verdict(NOT_ASKED))
        lines.append({"number": row.number, "words": row.words, "demand": row.demand, "verdicts": verdicts})
    for server in (ours, *servers.values()):
        server.close()
    return lines


def versions(python: str) -> dict[str, str]:
    """Return the versions of this project, of Python and of the peers."""
    program = (
        "import sys, json\nfrom importlib.metadata import version\n"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    found = json.loads(subprocess.check_output([python, "-c", program, *_PACKAGES], text=True))
    from napari_volseg import __version__

    return {"napari-volseg": __version__, **found}


def _number(row: Row) -> tuple[str, int, str]:
    letter, digits, rest = re.fullmatch(r"([DN])(\d+)(.*)", row.number).groups()  # type: ignore[union-attr]
    return letter, int(digits), rest


def _wanted(rows: Iterable[Row], only: Sequence[str], clean: str) -> list[Row]:
    chosen = [row for row in rows if not only or row.number == clean or row.number.startswith(tuple(only))]
    return sorted(chosen, key=_number)


def run(peers: str, only: Sequence[str]) -> Mapping[str, Any]:
    """Return the report on all rows, or on those whose number begins as told."""
    warnings.simplefilter("ignore")
    lines = {}
    with tempfile.TemporaryDirectory() as name:
        for title, rows in (("DICOM", dicom_rows), ("NIfTI and Analyze", nifti_rows)):
            written = _wanted(rows(Path(name) / title[0]), only, CLEAN[title])
            lines[title] = judge_all(written, PEERS[title], CLEAN[title], peers)
    return {"versions": versions(peers), "seconds": SECONDS, "memory_gib": MEMORY >> 30, "rows": lines}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="the Python that has the other libraries")
    parser.add_argument("--only", nargs="*", default=[], metavar="ROW", help="rows whose numbers begin so")
    parser.add_argument("--json", type=Path, help="where to write all verdicts with the words that were said")
    parser.add_argument("--markdown", type=Path, help="where to write the page")
    arguments = parser.parse_args()
    report = run(arguments.peers, arguments.only)
    text = "\n".join(page(report)).rstrip() + "\n"
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1))
    if arguments.markdown is not None:
        arguments.markdown.write_text(text)
    else:
        print(text)
    return int(any(line["verdicts"]["ours"]["faults"] for rows in report["rows"].values() for line in rows))


if __name__ == "__main__":
    sys.exit(main())
