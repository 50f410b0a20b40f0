"""Kill the program at random moments and compare what it had promised with what is there.

    python benchmarks/kill.py --kills 1000
    scripts/on_display.sh python benchmarks/kill.py --app --kills 25

A child process works at random (strokes, spheres, clicks, models, tables, undo, redo) and acknowledges an action when
all of it is on disk. It is killed with SIGKILL at a random moment. The session file is then opened again and
compared with the same actions done again in memory: no acknowledged action may be missing, and voxels, segments,
prompts and every step of the history must be equal, byte for byte, to those after some action at or behind the
last acknowledged one. The next child goes on with the same file; every tenth file is begun anew.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import kill_work as work

from napari_volseg.app.recovery import recover
from napari_volseg.core import RefusedError

#: A file is gone on with after so many kills before another is begun.
KILLS_PER_FILE = 10
#: A child lives at most so long, seconds.
LONGEST = 0.35


def child(path: Path, seed: int, done: int, pipe: int) -> None:
    """Work until killed; acknowledge the number of actions on disk."""

    def broken(error: RefusedError) -> None:
        os.write(pipe, b"error %s\n" % str(error).encode())

    session, journal = work.begin(path, broken)
    patience = random.Random((seed, done).__repr__())
    number = done
    while True:
        for _ in range(patience.randint(1, 4)):
            work.act(session, seed, number)
            number += 1
            os.write(pipe, b"issued %d\n" % number)
        if journal.flush():
            os.write(pipe, b"acked %d\n" % number)
        time.sleep(patience.choice((0, 0, 0.001, 0.01)))


def run_and_kill(path: Path, seed: int, done: int, lifetime: float) -> tuple[int, int]:
    """Return how many actions a child acknowledged and how many it had issued when it was killed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            child(path, seed, done, writing)
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(lifetime)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    told = [line for line in lines if line.startswith("error")]
    if told:
        raise AssertionError(told[0])
    counts = {word: [int(line.split()[1]) for line in lines if line.startswith(word)] for word in ("acked", "issued")}
    return max(counts["acked"], default=done), max(counts["issued"], default=done)


def compare(path: Path, session, seed: int, done: int, acked: int, issued: int) -> tuple[int | None, str]:
    """Bring the session in memory to where the file is; return the number of actions there, or what is wrong."""
    if not path.exists():
        return (0, "") if acked == 0 else (None, "the file is missing")
    found = recover(path)
    wanted = work.state_of(work.go_on(found))
    if not work.rewound(found):
        return None, "undoing everything does not lead to the beginning"
    for number in range(done, issued + 2):
        if number >= acked and work.state_of(session) == wanted:
            return number, ""
        work.act(session, seed, number)
    return None, f"no state from action {acked} to {issued} is the one in the file"


def kill_engine(kills: int, seed: int, folder: Path, verbose: bool) -> dict:
    """Kill many children; return counts."""
    result = {"kills": 0, "acknowledged": 0, "recovered": 0, "lost": 0, "beyond acknowledged": 0, "wrong": []}
    dice = random.Random(seed)
    path, session, done, file_seed = folder / "0.volseg", None, 0, 0
    for kill in range(kills):
        if kill % KILLS_PER_FILE == 0:
            file_seed = seed * 1_000_003 + kill
            path, done = folder / f"{kill}.volseg", 0
            session = work.EditSession(work.start())
        before = done
        acked, issued = run_and_kill(path, file_seed, done, dice.uniform(0, LONGEST))
        number, wrong = compare(path, session, file_seed, done, acked, issued)
        result["kills"] += 1
        result["acknowledged"] += acked - before
        if number is None:
            result["lost"] += 1
            result["wrong"].append(f"kill {kill}: {wrong}")
            break
        result["recovered"] += number - before
        result["beyond acknowledged"] += number - acked
        done = number
        if not path.exists():
            session = work.EditSession(work.start())
        if verbose and kill % 100 == 99:
            print(json.dumps({k: v for k, v in result.items() if k != "wrong"}), file=sys.stderr, flush=True)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--app", action="store_true", help="kill the window, worked with real mouse strokes")
    parser.add_argument("--folder", type=Path, help="where files are made; a temporary folder where absent")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.app:
            from kill_app import kill_app

            result = kill_app(options.kills, options.seed, Path(folder))
        else:
            result = kill_engine(options.kills, options.seed, Path(folder), verbose=True)
    result["seconds"] = round(time.monotonic() - begun, 1)
    print(json.dumps(result, indent=2))
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
