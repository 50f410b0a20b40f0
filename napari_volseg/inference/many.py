"""One model over many volumes, reading and using them while the network runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from queue import SimpleQueue
from typing import Any, TypeVar

from napari_volseg.core import CancelToken, Volume
from napari_volseg.inference.model import Prediction, SegmentationModel

Item = TypeVar("Item")
Result = TypeVar("Result")


class _End(Exception):
    """There is no further item."""


def made_ahead(source: Iterable[Item], room: int = 1, stop: Callable[[], object] = lambda: None) -> Generator[Item]:
    """Yield items that a thread of its own makes meanwhile.

    Parameters
    ----------
    source
        Makes an item when it is asked for the next; what it raises is raised here in that place.
    room
        Items that are made and not yet taken, at most, the one in the making included.
    stop
        Called where no more items are wanted: what is in the making may end early. The thread is waited for.
    """
    ready: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    slots, stopped = threading.Semaphore(room), threading.Event()

    def make() -> None:
        try:
            items = iter(source)
            while slots.acquire() and not stopped.is_set():
                ready.put((next(items), None))
        except StopIteration:
            ready.put((None, _End()))
        except BaseException as error:  # it belongs to whoever takes the items
            ready.put((None, error))

    thread = threading.Thread(target=make, name="volseg-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            slots.release()
            yield item
            del item  # else it lives until the next one is there
    except BaseException:
        stop()
        raise
    finally:
        stopped.set()
        slots.release()
        thread.join()


def in_stages(items: Iterable[Item], work: Callable[[Item], Result], stop: Callable[[], object]) -> Iterator[Result]:
    """Yield the results of work on items, while the next item is made and the last result is used.

    ``stop`` is called where no more results are wanted: what runs may end early, and is waited for.

    Of each stage at most one item waits, so with the ones that are made, worked on and used there are at most five.
    """
    with closing(made_ahead(items, stop=stop)) as made, closing(made_ahead(map(work, made), stop=stop)) as done:
        yield from done


def predict_many(model: SegmentationModel, volumes: Iterable[Volume], **options: Any) -> Iterator[Prediction]:
    """Label volumes one after the other, in their order.

    The next volume is read and the last prediction is used (written, say) while the network runs.

    Parameters
    ----------
    model
        Stays loaded all the while.
    volumes
        Best a generator that reads a volume when it is asked for the next.
    **options
        As ``model.predict`` takes them; ``cancel`` is also raised where the caller wants no more predictions.

    Raises
    ------
    VolsegError
        In place of the prediction of a volume that is refused, which ends the run: catch what a single volume may
        raise in the generator, and see `app.batch` for one that goes on.
    """
    cancel = options.setdefault("cancel", CancelToken())
    return in_stages(volumes, lambda volume: model.predict(volume, **options), cancel.cancel)
