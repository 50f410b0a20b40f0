"""Kills, failing calls and damaged files: a short run of what the benchmarks do at length."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")


def run(script: str, *arguments: str) -> dict:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if "there is no C compiler" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@FORKS
def test_no_acknowledged_step_is_lost_when_the_program_is_killed():
    result = run("kill.py", "--kills", "25", "--seed", "5")
    assert result["kills"] == 25
    assert result["lost"] == 0
    assert result["acknowledged"] > 50


@FORKS
def test_no_failing_call_loses_what_was_acknowledged():
    result = run("faults.py", "--calls", "--every", "97")["calls"]
    assert result["wrong"] == []
    assert result["told"] > 8


@FORKS
def test_a_disk_that_hangs_is_told_at_once_and_holds_everything_when_it_goes_on():
    result = run("hang.py")
    assert result["told after s"] < 1
    assert result["kept in the spare folder meanwhile"]
    assert result["steps at home"] == result["steps made"] == result["steps there"] + 1 > 3
    assert result["same labels"]
    assert result["left in the spare folder"] == []


@FORKS
def test_a_damaged_file_opens_as_it_once_was_or_not_at_all():
    result = run("faults.py", "--damage", "150", "--seed", "1")["damage"]
    assert result["wrong"] == []
    assert result["opened"] > 20
    assert result["session.damaged"] > 20
