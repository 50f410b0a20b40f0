"""Keys reach our commands whichever of our layers napari asks first."""

from __future__ import annotations

import pytest
from napari.layers import Labels
from napari.utils.key_bindings import KeymapHandler, coerce_keybinding

from napari_volseg.app import COMMANDS
from napari_volseg.viewer import keys

#: Commands for an outline or a measurement that is being drawn; their keys do something else otherwise.
OUTLINE = [
    *(COMMANDS[f"tool.{name}"] for name in ("close-outline", "drop-vertex", "abandon-outline")),
    COMMANDS["measure.abandon"],
]
KEYED = [c for c in COMMANDS.values() if c.key and c not in OUTLINE]


@pytest.fixture
def press(binding, viewer):
    """Press a key as napari's canvas does while a layer is selected."""

    def press_key(key: str, layer) -> bool:
        handler = KeymapHandler()
        handler.keymap_providers = [layer, viewer] if layer is not None else [viewer]
        return handler.press_key(key)

    return press_key


def test_no_two_commands_share_a_key() -> None:
    bound = [coerce_keybinding(c.key) for c in KEYED]
    assert not {coerce_keybinding(c.key) for c in OUTLINE} & {coerce_keybinding(k) for k in keys.BLOCKED}
    others = {coerce_keybinding(k) for k in (*keys.BLOCKED, "Space")}
    assert len(set(bound)) == len(bound)
    assert not others & set(bound)


def test_every_key_runs_its_command(press, app, viewer, monkeypatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(keys, "run_command", lambda _, command_id: ran.append(command_id))
    app.view.three_d = True
    app.tools.previewing = True  # else there is nothing to cancel
    for layer in (None, *viewer.layers):
        ran.clear()
        for command in KEYED:
            press(command.key, layer)
        assert ran == [c.id for c in KEYED]


def test_keys_that_commands_share_run_what_is_possible(press, app, binding, monkeypatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(keys, "run_command", lambda _, command_id: ran.append(command_id))
    press("Enter", binding.image)
    assert ran == ["click.accept"]
    ran.clear()
    app.tools.tool = "polygon"
    app.drawing.press((6, 10, 14), 0)
    for key in ("Enter", "Escape", "Backspace"):
        press(key, binding.image)
    assert ran == ["tool.close-outline", "tool.abandon-outline", "tool.drop-vertex"]
    ran.clear()
    app.tools.tool = "distance"
    app.measuring.press((6, 10, 14), 0)
    press("Escape", binding.image)
    assert ran == ["measure.abandon"]


@pytest.mark.parametrize("key", keys.BACK)
def test_one_press_too_many_of_a_key_that_leads_back_is_not_told(press, app, binding, key) -> None:
    told = []
    app.noticed.connect(told.append)
    press(key, binding.image)
    press("Enter", binding.image)
    assert ["Accept" in notice.text for notice in told] == [True]


def test_undo_is_ours_and_not_the_layers(press, app, binding, monkeypatch) -> None:
    monkeypatch.setattr(Labels, "undo", lambda _: pytest.fail("napari's history was asked"))
    app.case.add_segment("Third")
    press("Control-Z", binding.labels)
    assert len(app.case.table) == 2
    press("Control-Shift-Z", binding.labels)
    assert len(app.case.table) == 3


def test_harmful_keys_of_napari_do_nothing(press, viewer, binding) -> None:
    viewer.layers.selection.active = binding.labels
    viewer.bind_key("Control-Delete", lambda v: v.layers.remove_selected(), overwrite=True)
    keys.bind(viewer, {})
    before = list(viewer.layers)
    for key in keys.BLOCKED:
        press(key, binding.labels)
        press(key, None)
    assert list(viewer.layers) == before


def test_space_puts_the_tool_aside_while_held(app, viewer, binding) -> None:
    app.tools.tool = "brush"
    handler = KeymapHandler()
    handler.keymap_providers = [binding.image, viewer]
    handler.press_key("Space")
    assert viewer.scene.camera.mouse_pan
    handler.release_key("Space")
    assert not viewer.scene.camera.mouse_pan


def test_reset_goes_back_to_the_front(app, viewer, binding, press) -> None:
    app.view.three_d = True
    camera = viewer.scene.camera
    front, zoom = camera.view_direction, camera.zoom
    camera.angles, camera.zoom = (10, 20, 30), 9.0
    press("Control-R", binding.image)
    assert camera.view_direction == pytest.approx(front, abs=1e-6)
    assert camera.zoom == pytest.approx(zoom)
