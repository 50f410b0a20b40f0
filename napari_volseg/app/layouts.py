"""Which views are shown side by side, which of them is in hand, and how one goes from layout to layout."""

from __future__ import annotations

from napari_volseg.app.wishes import LayoutName, Plane, ViewName, ViewWishes

#: Of four views, from the top left to the bottom right: axial above coronal, which share right and left, and coronal
#: beside sagittal, which share head and feet.
VIEWS: tuple[ViewName, ...] = ("axial", "3d", "coronal", "sagittal")


def in_hand(view: ViewWishes) -> ViewName:
    """Return the view that was used last, on which commands and tools of the panel act."""
    return "3d" if view.three_d else view.plane


def views_shown(view: ViewWishes) -> tuple[ViewName, ...]:
    """Return the views that are shown, the large one first where they differ in size."""
    match view.layout:
        case "one":
            return (in_hand(view),)
        case "two":
            return (view.plane, "second")
        case "one-three":
            return (view.large, *(name for name in VIEWS if name != view.large))
        case "four":
            return VIEWS


def take_in_hand(view: ViewWishes, name: ViewName) -> None:
    """Let commands and tools of the panel act on a view, as where it was pressed."""
    plane = plane_shown(view, name)
    if plane is not None:
        view.plane = plane
    view.three_d = plane is None


def plane_shown(view: ViewWishes, name: ViewName) -> Plane | None:
    """Return the plane whose slices a view shows, None in 3D."""
    match name:
        case "3d":
            return None
        case "second":
            return view.plane
        case plane:
            return plane


def bring_forward(view: ViewWishes, name: ViewName) -> None:
    """Show a view that was asked for: alone, or large, or among the four; it is in hand then."""
    if view.layout == "two" and name == "3d":
        view.layout = "one"
    take_in_hand(view, name)
    view.large = name


def lay_out(view: ViewWishes, layout: LayoutName) -> None:
    """Show views in a layout; the one in hand is the one alone or the large one."""
    if layout == "two":
        view.three_d = False
    if layout == "one" and view.layout != "one":
        view.layout_before = view.layout
    view.large = in_hand(view)
    view.layout = layout


def forget_second(view: ViewWishes) -> None:
    """Show four views where two images were shown beside each other, now that there is no second one."""
    if view.layout == "two":
        lay_out(view, "four")
    if view.layout_before == "two":
        view.layout_before = "four"


def maximize(view: ViewWishes) -> None:
    """Show the view in hand alone, or go back to the layout from which that was done."""
    lay_out(view, view.layout_before if view.layout == "one" else "one")
