"""Many volumes: their order, what overlaps, how much is held, and how a run ends early."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from napari_volseg.core import CancelledError, CancelToken, Geometry, RefusedError, Segment, Volume
from napari_volseg.inference import Prediction, RunReport, Seconds, predict_many
from napari_volseg.inference.many import made_ahead

SHAPE = (2, 3, 4)
REPORT = RunReport("m", "CPU", "none", 0, Seconds(0, 0, 0, 0), 0)


def volume(value):
    return Volume(np.full(SHAPE, value, np.int16), Geometry.from_spacing(SHAPE), "CT")


class Model:
    """Labels by value; told when it runs."""

    def __init__(self, before=lambda number, cancel: None):
        self.before, self.number, self.threads = before, 0, set()

    def predict(self, seen, *, cancel, **_):
        self.threads.add(threading.get_ident())
        self.number += 1
        self.before(self.number, cancel)
        return Prediction(seen.voxels.astype(np.uint8), (Segment(1, "one"),), REPORT)


def test_predictions_come_in_order_from_one_thread():
    model = Model()
    found = [int(p.labels[0, 0, 0]) for p in predict_many(model, map(volume, range(6)))]
    assert found == list(range(6))
    assert len(model.threads) == 1


def test_the_next_is_read_and_the_last_is_used_while_the_network_runs():
    reading, using = threading.Event(), threading.Event()

    def volumes():
        for number in range(3):
            if number == 2:
                reading.set()
            yield volume(number)

    def before(number, cancel):
        if number == 2:  # the second case is in the network: the third must be read and the first used meanwhile
            assert reading.wait(20)
            assert using.wait(20)

    for number, _ in enumerate(predict_many(Model(before), volumes())):
        if number == 0:
            using.set()


def test_no_more_than_one_waits_at_each_stage():
    read = []

    def volumes():
        for number in range(20):
            read.append(number)
            yield volume(number)

    predictions = predict_many(Model(), volumes())
    next(predictions)
    time.sleep(0.3)
    assert len(read) <= 5
    predictions.close()
    assert len(read) <= 6


def test_what_a_volume_raises_comes_in_its_place():
    def volumes():
        yield volume(1)
        raise RefusedError("the second is damaged: copy it again")

    predictions = predict_many(Model(), volumes())
    assert next(predictions).labels.max() == 1
    with pytest.raises(RefusedError, match="the second"):
        next(predictions)


def test_a_run_that_nobody_wants_any_more_ends_early():
    running = threading.Event()

    def before(number, cancel):
        if number == 2:
            running.set()
            while not cancel.cancelled:
                time.sleep(0.005)
            cancel.check()

    predictions = predict_many(Model(before), map(volume, range(9)))
    next(predictions)
    assert running.wait(20)
    before_threads = {t for t in threading.enumerate() if t.name == "volseg-ahead"}
    assert before_threads
    predictions.close()
    assert not any(thread.is_alive() for thread in before_threads)


def test_a_cancelled_run_raises():
    token = CancelToken()
    predictions = predict_many(Model(lambda _, cancel: cancel.check()), map(volume, range(9)), cancel=token)
    next(predictions)
    token.cancel()
    with pytest.raises(CancelledError):
        list(predictions)


def test_nothing_is_made_before_it_is_asked_for():
    made = []
    items = made_ahead(made.append(n) or n for n in range(3))
    assert made == []
    assert list(items) == [0, 1, 2]
