"""Which views a layout shows, and what of it is kept with the session."""

from __future__ import annotations

import pytest
from tool_case import make_app

from napari_volseg.app.layouts import VIEWS, bring_forward, in_hand, lay_out, maximize, take_in_hand, views_shown
from napari_volseg.app.view_state import restore_view, view_state
from napari_volseg.app.wishes import ViewWishes


def test_one_view_is_the_one_in_hand() -> None:
    view = ViewWishes()
    for name in VIEWS:
        take_in_hand(view, name)
        assert views_shown(view) == (name,)


def test_3d_leads_back_to_its_plane() -> None:
    view = ViewWishes(plane="sagittal")
    take_in_hand(view, "3d")
    assert view.plane == "sagittal"


def test_the_large_view_is_the_one_in_hand_or_asked_for_and_not_the_one_that_was_pressed() -> None:
    view = ViewWishes(plane="coronal")
    lay_out(view, "one-three")
    assert views_shown(view)[0] == "coronal"
    take_in_hand(view, "sagittal")
    assert views_shown(view)[0] == "coronal"
    bring_forward(view, "3d")
    assert views_shown(view)[0] == "3d"
    assert sorted(views_shown(view)) == sorted(VIEWS)


@pytest.mark.parametrize("layout", ["one-three", "four"])
def test_maximizing_twice_leads_back(layout) -> None:
    view = ViewWishes(layout=layout, large="coronal")
    take_in_hand(view, "sagittal")
    maximize(view)
    assert views_shown(view) == ("sagittal",)
    maximize(view)
    assert view.layout == layout
    assert in_hand(view) == "sagittal"


def test_a_single_view_from_the_start_leads_to_four() -> None:
    view = ViewWishes()
    maximize(view)
    assert views_shown(view) == VIEWS


def test_layout_camera_and_crosshair_are_kept() -> None:
    tool_app = make_app()
    view, case = tool_app.view, tool_app.case
    view.layout, view.large, view.zoom, view.center, view.crosshair = (
        "one-three",
        "coronal",
        2.5,
        (1.0, -2.0, 3.5),
        False,
    )
    kept = view_state(case, view, tool_app.tools, tool_app.fusion)
    other = ViewWishes()
    restore_view(kept, case, other, tool_app.tools)
    assert (other.layout, other.large, other.zoom, other.center, other.crosshair) == (
        "one-three",
        "coronal",
        2.5,
        (1.0, -2.0, 3.5),
        False,
    )
    restore_view({**kept, "layout": "nine", "zoom": "near", "center": [1]}, case, other, tool_app.tools)
    assert (other.layout, other.zoom, other.center) == ("one-three", 2.5, (1.0, -2.0, 3.5))
