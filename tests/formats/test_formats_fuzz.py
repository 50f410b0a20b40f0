"""Thousands of damaged files and a set of bombs, opened in a child process that must survive them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bombs import BOMBS

_WORKER = Path(__file__).with_name("fuzz_worker.py")
#: Mutations of each kind; 10,000 for the long run.
_COUNT = int(os.environ.get("NAPARI_VOLSEG_FUZZ", "1000"))
_MOST_MEMORY = 512 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")


def work(kind: str, first: int, last: int, folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Return what a worker wrote, and how it ended where that was not well."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(_WORKER), kind, str(first), str(last), str(folder)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        check=False,
    )
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    return facts, "" if done.returncode == 0 else f"exit {done.returncode}: {done.stderr[-2000:]}"


@pytest.mark.parametrize("kind", ["dicom", "nifti"])
def test_damaged_files_open_as_they_say_or_are_refused(tmp_path: Path, kind: str) -> None:
    problems, summary, first = [], None, 0
    while summary is None and first < _COUNT:
        facts, death = work(kind, first, _COUNT, tmp_path / str(first))
        cases = {fact["case"]: fact for fact in facts if "what" in fact}
        problems += [f"{cases[fact['case']]}: {fact['problem']}" for fact in facts if "problem" in fact]
        summary = next((fact for fact in facts if "done" in fact), None)
        if summary is None:
            problems.append(f"the process died of {cases[max(cases)] if cases else 'its start'}: {death}")
            first = max(cases, default=_COUNT) + 1
    print(f"{kind}: {summary}")
    assert not problems, f"{len(problems)} of {_COUNT}:\n" + "\n".join(problems[:20])
    assert summary is not None
    assert summary["peak"] < _MOST_MEMORY


@pytest.fixture(scope="module")
def defused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each bomb."""
    facts, death = work("bombs", 0, 0, tmp_path_factory.mktemp("fuzz") / "bombs")
    assert not death, f"after {facts[-1:]}: {death}"
    return {fact["bomb"]: fact for fact in facts}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(defused: dict[str, dict[str, Any]], name: str) -> None:
    fact = defused[name]
    assert fact["outcome"].startswith("refused"), fact
    assert fact["seconds"] < 2, fact
    assert fact["peak"] < _MOST_MEMORY, fact
