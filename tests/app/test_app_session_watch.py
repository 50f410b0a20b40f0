"""Something that takes too long is noticed once; what comes in time is not."""

from __future__ import annotations

import threading
import time

import pytest

from napari_volseg.app.session_watch import Watch, promptly


@pytest.fixture
def watched():
    told = threading.Semaphore(0)
    watch = Watch(told.release)
    watch.start()
    yield watch, told
    watch.close()


def test_each_thing_that_is_late_is_told_once_while_it_lasts(watched):
    watch, told = watched
    for _ in range(2):
        with watch.over(0.02):
            assert told.acquire(timeout=5)
            assert watch.is_late
        assert not watch.is_late
    assert not told.acquire(timeout=0.1)


def test_what_is_done_in_time_or_raises_is_not_told(watched):
    watch, told = watched
    for _ in range(50):
        with watch.over(30):
            pass
    with pytest.raises(OSError, match="full"), watch.over(0.05):
        raise OSError("full")
    assert not told.acquire(timeout=0.2)


def test_time_in_which_nothing_could_run_is_not_held_against_the_disk():
    asleep = iter(range(0, 1_000_000, 60))
    told = threading.Semaphore(0)
    watch = Watch(told.release, clock=lambda: float(next(asleep)))
    watch.start()
    began = time.monotonic()
    with watch.over(0.6):
        assert not told.acquire(timeout=0.2)
        assert told.acquire(timeout=5)
        assert time.monotonic() - began > 0.35
    watch.close()


def test_the_telling_is_over_before_the_late_one_goes_on():
    order = []

    def late() -> None:
        order.append("late")
        time.sleep(0.1)
        order.append("told")

    watch = Watch(late)
    watch.start()
    with watch.over(0.01):
        while not order:
            time.sleep(0.001)
    order.append("goes on")
    watch.close()
    assert order == ["late", "told", "goes on"]


def test_a_prompt_answer_or_error_comes_through_and_a_late_one_does_not():
    assert promptly(lambda: 7, 30) == 7
    with pytest.raises(KeyError):
        promptly(lambda: {}["absent"], 30)
    hangs = threading.Event()
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        promptly(hangs.wait, 0.05)
    hangs.set()
