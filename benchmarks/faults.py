"""Let every write, sync and rename of a session fail in turn, and damage its file; nothing promised may be lost.

    python benchmarks/faults.py --calls          every n-th call fails (EIO, ENOSPC) once or from then on, or kills
    python benchmarks/faults.py --damage 2000    the file is cut, and blocks of it are zeroed, at random places

A call that fails must be told, work must go on, and what was acknowledged must be there when the file is opened.
A damaged file must open as a state that was once on disk, or be refused with a sentence; a third state is an error.
Needs Linux and a C compiler for ``--calls``.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import kill_work as work

from napari_volseg.app import session_changes, session_file
from napari_volseg.app.recovery import recover
from napari_volseg.core import RefusedError

ACTIONS, SEED = 24, 11
PAGE = 4096


# -- calls that fail ----------------------------------------------------------------------------------------


def build(folder: Path) -> Path | None:
    """Compile what makes calls fail; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "failing_calls.so"
    source = Path(__file__).with_name("failing_calls.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-w", str(source), "-o", str(library), "-ldl"]
    return library if subprocess.run(command, capture_output=True).returncode == 0 else None


def child(path: Path, pipe: int) -> None:
    """Work; tell what is on disk and what failed. The calls fail that the environment names."""

    def tell(*words: object) -> None:
        os.write(pipe, " ".join(map(str, words)).replace("\n", " ").encode() + b"\n")

    session_file.RETRY_SECONDS = 0.01
    session_changes.BASE_EVERY, session_changes.IDLE_SECONDS, session_changes.BASE_BEHIND = 4, 0.0, 1
    session, journal = work.begin(path, lambda error: tell("error", error))
    for number in range(ACTIONS):
        work.act(session, SEED, number)
        if journal.flush():
            tell("acked", number + 1)
    journal.close()
    tell("closed", int(journal.healthy))


def run_child(path: Path, environment: dict[str, str]) -> list[list[str]]:
    """Return what a child told, in words; it is forked, for to start anew takes longer than to work."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.environ.update(environment)
        try:
            child(path, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    os.waitpid(pid, 0)
    return [line.split() for line in lines]


def states() -> list[tuple]:
    """Return the state before each action and after the last."""
    session = work.EditSession(work.start())
    found = [work.state_of(session)]
    for number in range(ACTIONS):
        work.act(session, SEED, number)
        found.append(work.state_of(session))
    return found


def judge(path: Path, lines: list[list[str]], expected: list[tuple]) -> str:
    """Return what is wrong with what a child left, empty where nothing is."""
    acked = max((int(line[1]) for line in lines if line[0] == "acked"), default=0)
    if not path.exists():
        return "" if acked == 0 else "the file is missing"
    try:
        found = recover(path)
    except RefusedError as error:
        return f"it can't be opened ({error})"
    if not work.rewound(found):
        return "undoing everything does not lead to the beginning"
    now = work.state_of(work.go_on(found))
    return "" if now in expected[acked:] else f"its state is none from action {acked} on"


def fail_calls(folder: Path, every: int) -> dict:
    """Let one call after the other fail, in every way; return counts. The library must be loaded already."""
    expected, result = states(), {"runs": 0, "told": 0, "wrong": []}
    ways = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "kill": 0, "torn": -1}
    kinds = ("write", "sync", "rename")
    counts = {kind: _count(folder, kind) for kind in kinds}
    for kind, (name, error), stays in product(kinds, ways.items(), (False, True)):
        if (stays and error <= 0) or (name == "torn" and kind != "write"):
            continue
        for number in range(1, counts[kind] + 1, every):
            case = f"{kind} {number} {name}{' from then on' * stays}"
            lines, wrong = _fail_one(folder, case, kind, number, error, stays, expected)
            result["runs"] += 1
            result["told"] += any(line[0] == "error" for line in lines) or ["closed", "1"] not in lines
            result["wrong"] += [f"{case}: {wrong}"] * bool(wrong)
    result["calls"] = counts
    return result


def _fail_one(
    folder: Path, case: str, kind: str, number: int, error: int, stays: bool, expected: list[tuple]
) -> tuple[list[list[str]], str]:
    path = folder / f"{case}.volseg"
    environment = {"FAIL_CALL": kind, "FAIL_AT": str(number), "FAIL_ERROR": str(error), "FAIL_PART": path.name}
    lines = run_child(path, {**environment, **({"FAIL_STAYS": "1"} if stays else {})})
    wrong = judge(path, lines, expected)
    for left in folder.glob(f"{case}.*"):
        left.unlink()
    return lines, wrong


def _count(folder: Path, kind: str) -> int:
    """Return how many calls of a kind the work makes when none fails."""
    number = 1 << 12
    low = 0
    expected = states()[:1]
    while number - low > 1:
        middle = (number + low) // 2
        lines, _ = _fail_one(folder, "count", kind, middle, 0, False, expected)
        low, number = (low, middle) if ["closed", "1"] in lines else (middle, number)
    return low


def load_library(folder: Path) -> None:
    """Start this program anew with the library that makes calls fail."""
    library = build(folder)
    if library is None:
        sys.exit("there is no C compiler, or this is not Linux: calls can't be made to fail")
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "LD_PRELOAD": str(library)})


# -- files that are damaged ---------------------------------------------------------------------------------


def damage_files(folder: Path, times: int, seed: int = 0) -> dict:
    """Damage copies of a session, as it is while open and when closed; return how they were met."""
    dice, expected = random.Random(seed), {hash(state) for state in states()}
    originals = _originals(folder / "originals")
    met, wrong = Counter(), []
    for time in range(times):
        original = dice.choice(originals)
        shutil.rmtree(folder / "copy", ignore_errors=True)
        shutil.copytree(original, folder / "copy")
        what = _damage(dice, folder / "copy")
        try:
            found = recover(folder / "copy" / "case.volseg")
        except RefusedError as error:
            met[error.code] += 1
            continue
        if hash(work.state_of(work.go_on(found))) in expected:
            met["opened"] += 1
        else:
            wrong.append(f"{time}: {what} of {original.name} opened as a state that never was")
    return {"files": times, **met, "wrong": wrong}


def _originals(folder: Path) -> list[Path]:
    """Return folders with the session as it is on disk at several moments of the work, and when it is closed."""
    work_folder, copies = folder / "work", []
    work_folder.mkdir(parents=True)
    session, journal = work.begin(work_folder / "case.volseg", lambda error: print(error, file=sys.stderr))
    for number in range(ACTIONS):
        work.act(session, SEED, number)
        journal.flush()
        if number in (3, 12, ACTIONS - 1):
            copies.append(shutil.copytree(work_folder, folder / f"after {number}"))
    journal.close()
    copies.append(shutil.copytree(work_folder, folder / "closed"))
    return copies


def _damage(dice: random.Random, folder: Path) -> str:
    """Cut a file, zero blocks of it, or lose its journal; return what was done."""
    file = dice.choice([f for f in sorted(folder.iterdir()) if f.stat().st_size])
    size = file.stat().st_size
    kind = dice.choice(("cut", "zero", "zero", "bytes", "lose"))
    if kind == "lose" and not file.name.endswith("-wal"):
        kind = "cut"
    place = dice.randrange(size)
    with file.open("r+b") as stream:
        if kind == "cut":
            stream.truncate(place)
        elif kind == "zero":
            block = dice.choice((512, PAGE, 3 * PAGE))
            stream.seek(place // block * block)
            stream.write(bytes(min(block, size - place // block * block)))
        elif kind == "bytes":
            stream.seek(place)
            stream.write(dice.randbytes(min(8, size - place)))
    if kind == "lose":
        file.unlink()
    return f"{kind} at {place} in {file.name}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", action="store_true", help="let every n-th call fail")
    parser.add_argument("--every", type=int, default=1, help="only each n-th call in turn")
    parser.add_argument("--damage", type=int, default=0, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.calls and "failing_calls" not in os.environ.get("LD_PRELOAD", ""):
        load_library(Path(tempfile.mkdtemp()))
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.damage:
            results["damage"] = damage_files(Path(folder), options.damage, options.seed)
        if options.calls:
            results["calls"] = fail_calls(Path(folder), options.every)
    print(json.dumps(results, indent=2))
    return any(result.get("wrong") for result in results.values())


if __name__ == "__main__":
    sys.exit(main())
