"""Processes of their own for jobs that may crash, hang or take all memory, without importing a library each time.

A server imports a library and forks for every job; what happens to the child is the result.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Job = dict[str, Any]

#: Address space of one job, bytes: more is a blow-up.
MEMORY = 6 << 30
SECONDS = 60.0
_KEPT_TEXT = 20_000


def serve(task: Callable[[Job], Any]) -> None:
    """Answer jobs from standard input, each a line of JSON, by what came of them in a process of its own."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps(run_apart(task, json.loads(line))) + "\n")
        answers.flush()


def run_apart(task: Callable[[Job], Any], job: Job) -> Job:
    """Return what came of a job: result or error, exit code, signal, whether it hung, and what it said."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = os.fork()
        if child == 0:
            _work(task, job, folder)
        status = _wait(child, SECONDS)
        _end_group(child)
        texts = {key: (folder / key).read_text(errors="replace")[-_KEPT_TEXT:] for key in ("stdout", "stderr")}
        result = folder / "result.json"
        told = json.loads(result.read_text()) if result.exists() else {}
    return {
        "exit": os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
        "hung": status is None,
        **texts,
        **told,
    }


def _work(task: Callable[[Job], Any], job: Job, folder: Path) -> None:
    """Do a job and end this process."""
    code = 1
    try:
        os.setsid()
        for name, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        (folder / "result.json").write_text(json.dumps({"result": task(job)}))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        traceback.print_exc()
        (folder / "result.json").write_text(json.dumps({"error": type(error).__name__, "text": str(error)[:500]}))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, seconds: float) -> int | None:
    """Return the status of a child, None for one that had to be killed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    _end_group(child)
    os.waitpid(child, 0)
    return None


def _end_group(leader: int) -> None:
    """End a job and the processes that it left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


class Server:
    """A running ``oddities_readers.py`` of one reader."""

    def __init__(self, python: str, reader: str) -> None:
        script = Path(__file__).with_name("oddities_readers.py")
        self._process = subprocess.Popen(
            [python, str(script), reader],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def ask(self, **job: Any) -> Job:
        """Return what came of a job."""
        self._pipe(self._process.stdin).write(json.dumps(job) + "\n")
        self._pipe(self._process.stdin).flush()
        return dict(json.loads(self._pipe(self._process.stdout).readline()))

    def close(self) -> None:
        """End the server."""
        self._pipe(self._process.stdin).close()
        self._process.wait()

    @staticmethod
    def _pipe(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream
