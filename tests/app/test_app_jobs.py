import subprocess
import sys
import threading

import pytest

from napari_volseg.app.jobs import JobRunner, error_sentence
from napari_volseg.core import Progress, RefusedError

LANES = (("gives way", "files"), ("quiet", "tools"), ("mine", "network"))


@pytest.fixture
def jobs():
    runner = JobRunner()
    yield runner
    runner.close()


def test_results_come_home_on_the_pumping_thread(jobs):
    seen = []
    job = jobs.submit("add", lambda p, c: (threading.current_thread().name, 3), lambda r: seen.append(r))
    jobs.wait(job)
    assert job.state == "done"
    assert seen == [("volseg-files", 3)]
    assert threading.current_thread().name != "volseg-files"


def test_network_work_shares_one_thread(jobs):
    names = [jobs.submit("n", lambda p, c: threading.get_ident(), lane="network") for _ in range(5)]
    jobs.wait()
    assert len({job.result for job in names}) == 1


def test_urgent_work_goes_first(jobs):
    gate, order = threading.Event(), []
    jobs.submit("hold", lambda p, c: gate.wait(5), lane="network")
    jobs.submit("later", lambda p, c: order.append("later"), lane="network")
    jobs.submit("click", lambda p, c: order.append("click"), lane="network", urgent=True)
    gate.set()
    jobs.wait()
    assert order == ["click", "later"]


def test_a_cancelled_job_delivers_nothing(jobs):
    started, seen = threading.Event(), []

    def work(progress, cancel):
        started.set()
        while True:
            cancel.check()

    job = jobs.submit("endless", work, seen.append)
    started.wait(5)
    job.cancel()
    jobs.wait(job, 10)
    assert job.state == "cancelled"
    assert seen == []


def test_what_the_user_stops_tells_when_it_has_ended_and_what_gives_way_does_not(jobs):
    told = []
    jobs.stopped.connect(lambda job: told.append(job.title))

    def work(progress, cancel):
        while True:
            cancel.check()

    way, quiet, mine = (jobs.submit(name, work, lane=lane, quiet=name == "quiet") for name, lane in LANES)
    way.cancel()
    jobs.wait(way, 10)
    jobs.stop()
    jobs.wait(quiet, 10)
    jobs.wait(mine, 10)
    assert told == ["mine"]


def test_a_failure_is_told_once_and_the_lane_lives_on(jobs):
    failed = []
    jobs.failed.connect(failed.append)

    def work(progress, cancel):
        raise RefusedError("the file is 3 bytes long: choose an image")

    job = jobs.submit("bad", work)
    after = jobs.submit("good", lambda p, c: 1)
    jobs.wait()
    assert (job.state, after.state) == ("failed", "done")
    assert [error_sentence(j.error) for j in failed] == ["the file is 3 bytes long: choose an image"]


def test_progress_reaches_its_end(jobs):
    def work(progress, cancel):
        for i in range(1, 101):
            progress(Progress(i, 100, "step"))

    job = jobs.submit("count", work)
    jobs.wait(job)
    assert job.progress.fraction == 1.0


def test_unexpected_errors_are_one_sentence():
    assert error_sentence(KeyError("x")) == "unexpected KeyError: 'x'; nothing was changed"
    assert "memory" in error_sentence(MemoryError())


def test_exit_waits_for_work_that_was_asked_to_stop(tmp_path):
    script = """
import sys, time
from pathlib import Path
from napari_volseg.app import JobRunner

def work(progress, cancel):
    time.sleep(0.5)
    Path(sys.argv[1]).touch()

runner = JobRunner()
job = runner.submit("Writing", work)
while job.state == "queued":
    runner.inbox.pump(0.05)
runner.close()
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "written"], check=True, timeout=60)
    assert (tmp_path / "written").exists()
