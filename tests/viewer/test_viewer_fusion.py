"""A second image over the case lies where it belongs in every plane and in 3D, and touches nothing else."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from driven import make_volume
from napari.components import ViewerModel

from napari_volseg.app import Application, Question, run_command
from napari_volseg.app.fusion import fuse
from napari_volseg.app.on_grid import NOTHING
from napari_volseg.app.view_state import view_state
from napari_volseg.core import Geometry, UsageError, Volume, Window
from napari_volseg.spatial import apply_reorientation, display_reorientation, reorient_geometry
from napari_volseg.viewer import ViewerBinding, letters
from napari_volseg.viewer.fused import SECOND, SECOND_3D, colours
from napari_volseg.viewer.layers import SEGMENTS
from napari_volseg.viewer.planes import LAYOUTS
from napari_volseg.viewer.readout import readout

FLAT = ("axial", "coronal", "sagittal")
FRAME = "1.2.3"
REFERENCE = Geometry.from_spacing((30, 40, 50), (3.0, 1.5, 1.2), (-20.0, -35.0, 10.0), FRAME)
AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
ORIENTATIONS = ["".join(c) for p in permutations(("LR", "PA", "SI")) for c in product(*p)]
#: Three spots of different heights (mm, LPS) that no mirror image and no rotation has in the same places.
SPOTS = {(5.0, -12.0, 55.0): 9.0, (18.0, -20.0, 40.0): 6.0, (2.0, 4.0, 76.0): 4.0}
WIDTH_MM = 6.0


def turned(degrees: float, axis: int) -> np.ndarray:
    """A rotation about a patient axis."""
    a = np.radians(degrees)
    matrix = np.eye(3)
    i, j = (k for k in range(3) if k != axis)
    matrix[i, i] = matrix[j, j] = np.cos(a)
    matrix[i, j], matrix[j, i] = -np.sin(a), np.sin(a)
    return matrix


def seen_at(points: np.ndarray) -> np.ndarray:
    """The height of the phantom at patient points (..., 3), mm, LPS."""
    total = np.zeros(points.shape[:-1])
    for spot, height in SPOTS.items():
        total += height * np.exp(-((points - spot) ** 2).sum(-1) / (2 * WIDTH_MM**2))
    return total


def phantom(stored: Geometry, modality: str = "PT", quantity: str = "SUV", unit: str = "g/mL") -> Volume:
    """The phantom as a scanner with any grid sees it, on its display grid."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in stored.shape), indexing="ij"), -1)
    voxels = seen_at(stored.to_patient(index)).astype(np.float32)
    turn = display_reorientation(stored)
    grid = reorient_geometry(stored, turn)
    return Volume(apply_reorientation(voxels, turn), grid, modality, quantity, unit, "hot spots")


def oblique(frame: str = FRAME) -> Geometry:
    """A grid with other spacing, other axes and three rotations, about the middle of the reference."""
    rotation = turned(17, 2) @ turned(-11, 0) @ turned(23, 1)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation @ np.array([[0, 0, -2.0], [0, 2.2, 0], [2.6, 0, 0]])
    shape = (60, 60, 70)
    middle = REFERENCE.to_patient((np.array(REFERENCE.shape) - 1) / 2)
    matrix[:3, 3] = middle - matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry(shape, matrix, frame)


@pytest.fixture
def ct(empty_app: Application) -> Application:
    voxels = np.random.default_rng(0).integers(-50, 90, REFERENCE.shape).astype(np.int16)
    empty_app.adopt(Volume(voxels, REFERENCE, "CT", "HU", "HU", "chest"))
    empty_app.case.add_segment("Liver")
    return empty_app


@pytest.fixture
def bound(ct: Application, viewer: ViewerModel):
    made = ViewerBinding(ct, viewer)
    ct.view.layout = "four"
    yield made
    made.close()


def lay(app: Application, volume: Volume) -> None:
    app.jobs.wait(app.fusion.open_volume(volume))


def drawn(pane) -> np.ndarray:
    """What napari draws of the second image."""
    return np.asarray(pane.shown.over.layer._slice.image.raw)


def middle_of(spot) -> np.ndarray:
    return REFERENCE.to_index(spot)


def test_an_oblique_image_lands_where_it_belongs_in_every_plane(ct, bound) -> None:
    lay(ct, phantom(oblique()))
    for spot in SPOTS:
        index = np.round(middle_of(spot)).astype(int)
        ct.view.index = tuple(int(i) for i in index)
        for name in FLAT:
            _, down, across = LAYOUTS[name].order
            seen = drawn(bound.shown[name])
            near = np.s_[index[down] - 3 : index[down] + 4, index[across] - 3 : index[across] + 4]
            peak = np.unravel_index(seen[near].argmax(), seen[near].shape)
            assert np.abs(np.array(peak) - 3).max() <= 1
            expected = REFERENCE.to_patient(index)
            assert seen[index[down], index[across]] == pytest.approx(seen_at(expected), abs=0.35)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_any_stored_orientation_gives_the_same_picture(codes, ct) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([AXES[c] for c in codes], 1) * np.array([2.0, 2.0, 2.0])
    shape = (48, 48, 48)
    middle = REFERENCE.to_patient((np.array(REFERENCE.shape) - 1) / 2)
    matrix[:3, 3] = middle - matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    fused = fuse(phantom(Geometry(shape, matrix, FRAME)), ct.case)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in REFERENCE.shape), indexing="ij"), -1)
    got = fused.part([np.arange(n) for n in REFERENCE.shape])
    inside = got > NOTHING
    assert inside.mean() > 0.6
    assert np.abs(got - seen_at(REFERENCE.to_patient(index)))[inside].max() < 0.35


def test_the_centre_of_mass_of_a_spot_lies_within_a_voxel(ct) -> None:
    fused = fuse(phantom(oblique()), ct.case)
    got = fused.part([np.arange(n) for n in REFERENCE.shape])
    for spot in SPOTS:
        start = np.round(middle_of(spot)).astype(int) - (2, 4, 5)
        block = got[tuple(slice(s, s + n) for s, n in zip(start, (5, 9, 11), strict=True))]
        weights = np.clip(block - block.min(), 0, None) ** 2
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in block.shape), indexing="ij"), -1)
        found = (grid * weights[..., None]).sum((0, 1, 2)) / weights.sum() + start
        assert np.abs(found - middle_of(spot)).max() < 1


def test_outside_of_the_second_image_nothing_is_known(ct) -> None:
    small = Geometry.from_spacing((5, 8, 8), (4.0, 4.0, 4.0), (0.0, -20.0, 40.0), FRAME)
    fused = fuse(phantom(small), ct.case)
    got = fused.part([np.arange(n) for n in REFERENCE.shape])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in REFERENCE.shape), indexing="ij"), -1)
    own = small.to_index(REFERENCE.to_patient(index))
    within = ((own >= -0.5) & (own < np.array(small.shape) - 0.5)).all(-1)
    assert np.array_equal(got > NOTHING, within)
    assert 0 < within.sum() < within.size
    assert fused.value_at((0, 0, 0)) is None


def test_a_part_is_the_same_as_the_whole(ct) -> None:
    fused = fuse(phantom(oblique()), ct.case)
    whole = fused.part([np.arange(n) for n in REFERENCE.shape])
    places = [np.array([3, 9]), np.arange(10, 30, 4), np.array([25])]
    assert np.allclose(fused.part(places), whole[np.ix_(*places)], atol=1e-4)
    assert np.allclose(fused.small, whole[tuple(slice(None, None, s) for s in fused.steps)], atol=1e-4)


def test_it_lies_between_image_and_segments_in_every_view_and_follows_the_wishes(ct, bound) -> None:
    lay(ct, phantom(oblique()))
    wishes = ct.fusion.wishes
    assert wishes.window.limits == (0, 7)
    for name in FLAT:
        pane = bound.shown[name]
        names = [layer.name for layer in pane.viewer.layers]
        assert names[:3] == ["chest", SECOND, SEGMENTS]
        assert pane.viewer.layers.selection.active is pane.image
        assert pane.shown.over.layer.visible
    wishes.opacity, wishes.colours, wishes.window = 0.25, "viridis", Window.between(1.0, 3.0)
    for name in FLAT:
        layer = bound.shown[name].shown.over.layer
        assert layer.opacity == 0.25
        assert layer.contrast_limits == [1.0, 3.0]
        assert layer.colormap.name == "over-viridis"
    run_command(ct, "fusion.show")
    assert not any(bound.shown[name].shown.over.layer.visible for name in FLAT)
    run_command(ct, "fusion.remove")
    for pane in bound.panes:
        assert SECOND not in [layer.name for layer in pane.viewer.layers]


def test_the_3d_view_shows_it_too(ct, bound, viewer) -> None:
    lay(ct, phantom(oblique()))
    run_command(ct, "view.3d")
    pane = bound.shown["3d"]
    names = [layer.name for layer in pane.viewer.layers]
    assert SECOND_3D in names
    deep = pane.shown.over.deep
    assert deep.visible
    assert not pane.shown.over.layer.visible
    assert deep.data.dtype == np.uint8
    peak = np.unravel_index(deep.data.argmax(), deep.data.shape)
    brightest = max(SPOTS, key=SPOTS.get)
    assert np.abs(np.array(peak) * pane.shown.over.fused.steps - middle_of(brightest)).max() <= 2
    before = deep.data.sum()
    ct.fusion.wishes.window = Window.between(0.0, 40.0)
    assert deep.data.sum() < before
    run_command(ct, "fusion.remove")
    assert SECOND_3D not in [layer.name for layer in pane.viewer.layers]


def test_a_view_that_was_not_shown_catches_up(ct, bound) -> None:
    hidden = bound.shown["sagittal"]
    ct.view.layout = "one"
    lay(ct, phantom(oblique()))
    ct.fusion.wishes.opacity = 0.8
    ct.view.layout = "four"
    assert bound.shown["sagittal"] is hidden
    assert hidden.shown.over.layer.opacity == 0.8
    assert hidden.shown.over.layer.visible


def test_segments_and_case_are_not_touched(ct, bound) -> None:
    before, labels = ct.case.volume, ct.case.segmentation.labels.copy()
    revision = ct.case.session.revision
    lay(ct, phantom(oblique()))
    assert ct.case.volume is before
    assert np.array_equal(ct.case.segmentation.labels, labels)
    assert ct.case.session.revision == revision
    assert ct.case.segmentation.geometry.same_grid(REFERENCE)


def test_another_case_takes_it_away(ct, bound) -> None:
    lay(ct, phantom(oblique()))
    ct.adopt(make_volume())
    assert ct.fusion.image is None
    for pane in bound.panes:
        assert SECOND not in [layer.name for layer in pane.viewer.layers]


def test_the_cursor_tells_both_values(ct) -> None:
    lay(ct, phantom(oblique()))
    spot = max(SPOTS, key=SPOTS.get)
    index = middle_of(spot)
    text = readout(ct.case, index, ct.fusion.image)
    assert " HU" in text
    suv = float(text.split("SUV ")[1].split()[0])
    assert suv == pytest.approx(seen_at(np.array(spot)), abs=1.0)
    lay(ct, phantom(oblique(), "PT", "arbitrary", "Bq/mL"))
    assert "Bq/mL" in readout(ct.case, index, ct.fusion.image)
    lay(ct, phantom(oblique(), "MR", "arbitrary", ""))
    assert "MR " in readout(ct.case, index, ct.fusion.image)


def test_another_frame_of_reference_is_asked_about(ct) -> None:
    asked: list[Question] = []
    ct.asked.connect(asked.append)
    lay(ct, phantom(oblique("9.9.9")))
    assert ct.fusion.image is None
    assert "frame of reference" in asked[0].text
    asked[0].answer("leave")
    assert ct.fusion.image is None
    asked[0].answer("show")
    assert ct.fusion.image is not None


def test_an_unknown_frame_of_reference_is_told(ct) -> None:
    told = []
    ct.noticed.connect(told.append)
    lay(ct, phantom(oblique("")))
    assert ct.fusion.image is not None
    assert any(n.kind == "warning" and "landmarks" in n.text for n in told)
    told.clear()
    lay(ct, phantom(oblique()))
    assert not any(n.kind == "warning" for n in told)


def test_images_of_other_places_are_refused_with_the_distance(ct) -> None:
    far = Geometry.from_spacing((20, 20, 20), (2.0, 2.0, 2.0), (500.0, 0.0, 0.0), FRAME)
    with pytest.raises(UsageError, match=r"no part .* \d+ mm apart"):
        fuse(phantom(far), ct.case)


def test_colours_are_transparent_where_nothing_is_known_and_rise_in_lightness() -> None:
    for name in ("hot", "inferno", "viridis", "cyan", "grey"):
        table = colours(name).map(np.linspace(0, 1, 256))
        assert table[0, 3] == 0
        assert table[-1, 3] == 1
        light = table[:, :3] @ (0.2126, 0.7152, 0.0722)
        assert (np.diff(light) > -1e-3).all()


def test_commands_say_why_they_are_not_possible(empty_app, ct) -> None:
    from napari_volseg.app import COMMANDS

    assert COMMANDS["fusion.show"].why_not(ct) == "no second image is shown"
    assert COMMANDS["fusion.add"].why_not(ct) is None
    lay(ct, phantom(oblique()))
    assert COMMANDS["fusion.show"].why_not(ct) is None
    run_command(ct, "fusion.stronger")
    assert ct.fusion.wishes.opacity == pytest.approx(0.6)
    run_command(ct, "fusion.colours")
    assert ct.fusion.wishes.colours == "inferno"


def test_side_by_side_each_view_shows_one_image_and_both_the_segments(ct, bound) -> None:
    lay(ct, phantom(oblique()))
    ct.fusion.wishes.opacity = 0.3
    run_command(ct, "view.layout-two")
    assert list(bound.shown) == ["axial", "second"]
    first, second = bound.shown["axial"], bound.shown["second"]
    assert first.shown.image.visible
    assert not first.shown.over.layer.visible
    assert not second.shown.image.visible
    assert second.shown.over.layer.visible
    assert second.shown.over.layer.opacity == 1
    assert first.shown.labels.visible
    assert second.shown.labels.visible
    run_command(ct, "view.layout-four")
    assert all(bound.shown[name].shown.over.layer.opacity == 0.3 for name in FLAT)
    assert all(bound.shown[name].shown.over.layer.visible for name in FLAT)
    assert all(bound.shown[name].shown.image.visible for name in FLAT)


def test_side_by_side_both_follow_plane_and_slice(ct, bound) -> None:
    lay(ct, phantom(oblique()))
    run_command(ct, "view.layout-two")
    for spot in SPOTS:
        index = np.round(middle_of(spot)).astype(int)
        ct.view.index = tuple(int(i) for i in index)
        for name in FLAT:
            run_command(ct, f"view.{name}")
            assert list(bound.shown) == [name, "second"]
            first, second = bound.shown[name], bound.shown["second"]
            assert second.viewer.dims.order == first.viewer.dims.order == LAYOUTS[name].order
            normal, down, across = LAYOUTS[name].order
            assert second.viewer.dims.current_step[normal] == first.viewer.dims.current_step[normal] == index[normal]
            expected = seen_at(REFERENCE.to_patient(index))
            assert drawn(second)[index[down], index[across]] == pytest.approx(expected, abs=0.35)
            assert letters(ct, "second", second.viewer) == letters(ct, name, first.viewer)


def test_side_by_side_ends_with_the_second_image_and_where_3d_is_asked_for(ct, bound) -> None:
    lay(ct, phantom(oblique()))
    run_command(ct, "view.layout-two")
    run_command(ct, "view.maximize")
    run_command(ct, "fusion.remove")
    run_command(ct, "view.maximize")
    assert ct.view.layout == "four"
    lay(ct, phantom(oblique()))
    run_command(ct, "view.layout-two")
    assert view_state(ct.case, ct.view, ct.tools, ct.fusion)["layout"] == "four"
    run_command(ct, "view.3d")
    assert list(bound.shown) == ["3d"]
    run_command(ct, "view.layout-two")
    run_command(ct, "fusion.remove")
    assert ct.view.layout == "four"


def test_side_by_side_needs_a_second_image(ct) -> None:
    said = []
    ct.noticed.connect(lambda notice: said.append(notice.text))
    run_command(ct, "view.layout-two")
    assert ct.view.layout == "one"
    assert "add a second image first" in said[0]
