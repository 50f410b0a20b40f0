"""A viewer model without Qt, and an application with a small chiral CT in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from driven import SPACING, Hand, make_volume
from napari.components import ViewerModel

from napari_volseg.app import Application
from napari_volseg.viewer import ViewerBinding


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def empty_app() -> Iterator[Application]:
    app = Application()
    yield app
    app.close()


@pytest.fixture
def app(empty_app: Application) -> Application:
    empty_app.adopt(make_volume())
    for name in ("Liver", "Spleen"):
        empty_app.case.add_segment(name)
    empty_app.case.active = 1
    return empty_app


@pytest.fixture
def binding(app: Application, viewer: ViewerModel) -> Iterator[ViewerBinding]:
    bound = ViewerBinding(app, viewer)
    yield bound
    bound.close()


@pytest.fixture
def hand(binding: ViewerBinding, viewer: ViewerModel) -> Hand:
    return Hand(viewer)


@pytest.fixture
def place() -> Callable[..., tuple[float, float, float]]:
    """Napari position of a voxel index (z, y, x)."""

    def to_position(*index: float) -> tuple[float, float, float]:
        z, y, x = (i * s for i, s in zip(index, SPACING, strict=True))
        return z, y, x

    return to_position
