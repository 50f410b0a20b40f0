"""The panel under real mouse and key events: what it shows, what it calls, and that nothing of it is cut."""

from __future__ import annotations

import gc
import shutil
import threading
import time

import numpy as np
import pytest
from driving import send_mouse, turn_wheel
from napari.qt import QtViewer
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSlider,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from napari_volseg.app import COMMANDS, Notice
from napari_volseg.app.opening import Decided
from napari_volseg.core import Answers, Geometry, Volume
from napari_volseg.interactive.litemedsam import litemedsam_model
from napari_volseg.widgets import DOCK_NAME, create_window, dialogs
from napari_volseg.widgets.segment_model import Column, format_volume

pytestmark = pytest.mark.gui

PATIENCE = 15_000


@pytest.fixture
def window(qapp):
    """The program, with nothing open."""
    viewer, app, panel = create_window()
    panel.window().resize(1366, 768)
    yield viewer, app, panel
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture(scope="module")
def shared(qapp):
    """One window for the tests that leave nothing behind but a case."""
    viewer, app, panel = create_window()
    panel.window().resize(1366, 768)
    gc.freeze()  # napari collects garbage whenever a layer leaves, which takes most of the time of these tests
    yield viewer, app, panel
    gc.unfreeze()
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def opened(shared, qtbot):
    """The shared window with a small CT in memory freshly open."""
    viewer, app, panel = shared
    app.adopt(make_volume())
    app.view.plane, app.view.three_d = "axial", False
    while panel.notices.current:
        panel.notices.next()
    qtbot.waitUntil(lambda: panel.segment.expanded and panel.segments.model.rowCount() == 0, timeout=PATIENCE)
    return viewer, app, panel


def make_volume():
    """Return a CT of air around soft tissue."""
    voxels = np.full((20, 30, 24), -1000, np.int16)
    voxels[4:16, 5:25, 4:20] = 40
    return Volume(voxels, Geometry.from_spacing(voxels.shape, (3.0, 2.0, 2.0)), "CT", "HU", "HU", "chest")


def click(panel, name):
    """Press a button of the panel with the left mouse button."""
    button = panel.findChild(QPushButton, name)
    assert button.isVisible(), f"{name} is not visible"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_a_folder_is_listed_and_one_click_opens_a_volume(window, image_file, qtbot, monkeypatch):
    _, app, panel = window
    shutil.copy(image_file, image_file.with_name("later.nii.gz"))
    image_file.with_name("broken.nii.gz").write_text("no image")
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: image_file.parent)
    assert panel.findChild(QPushButton, "open.folder").property("primary")

    click(panel, "open.folder")
    qtbot.waitUntil(lambda: panel.data.model.rowCount() == 3, timeout=PATIENCE)
    texts = [panel.data.model.index(row).data() for row in range(3)]
    assert texts[0].startswith("chest\n")
    assert "20 slices · 3 × 2 × 2 mm" in texts[0]
    assert texts[2].startswith("Refused: broken.nii.gz\n")
    assert "2 images" in panel.hint.text()

    place = panel.data.list.visualRect(panel.data.model.index(1)).center()
    QTest.mouseClick(panel.data.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: app.case is not None, timeout=PATIENCE)
    assert app.case.volume.name == "later"


def test_what_can_not_be_done_is_grey_and_says_why(window, qtbot):
    _, app, panel = window
    run, seg = panel.findChild(QPushButton, "segment.run"), panel.findChild(QPushButton, "export.dicom-seg")
    assert not run.isEnabled()
    assert "open an image first" in run.toolTip()
    app.adopt(make_volume())
    qtbot.waitUntil(run.isEnabled, timeout=PATIENCE)
    assert run.toolTip().endswith("[R]")
    assert "segment something first" in seg.toolTip()
    app.case.add_segment("Lung")
    qtbot.waitUntil(lambda: "opened from DICOM" in seg.toolTip(), timeout=PATIENCE)
    assert not seg.isEnabled()


def test_every_command_with_a_button_names_its_key(opened):
    _, _, panel = opened
    buttons = [b for b in panel.findChildren(QPushButton) if b.objectName() in COMMANDS]
    assert {"window.lung", "view.coronal", "tool.brush", "edit.undo", "segment.run"} <= {
        b.objectName() for b in buttons
    }
    for button in buttons:
        key = COMMANDS[button.objectName()].key
        assert button.toolTip().split("\n")[0].endswith(f"[{key}]")


def test_buttons_and_keys_change_window_and_plane_and_show_which(opened, qtbot):
    _, app, panel = opened
    click(panel, "window.lung")
    assert app.view.window.name == "Lung"
    qtbot.waitUntil(lambda: panel.findChild(QPushButton, "window.lung").isChecked(), timeout=PATIENCE)
    qtbot.waitUntil(lambda: "centre -600, width 1500 HU" in panel.view.window_text.text(), timeout=PATIENCE)
    canvas = panel.window().findChild(QtViewer).canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_C)
    assert app.view.plane == "coronal"
    qtbot.waitUntil(lambda: panel.findChild(QPushButton, "view.coronal").isChecked(), timeout=PATIENCE)
    assert not panel.findChild(QPushButton, "view.axial").isChecked()
    assert [panel.letters.labels[edge].text() for edge in ("top", "bottom", "left", "right")] == ["S", "I", "R", "L"]
    click(panel, "view.3d")
    qtbot.waitUntil(panel.findChild(QPushButton, "view.from-posterior").isVisible, timeout=PATIENCE)
    click(panel, "view.from-posterior")
    assert [panel.letters.labels[edge].text() for edge in ("top", "bottom", "left", "right")] == ["S", "I", "L", "R"]


def test_taking_a_tool_by_its_key_brings_its_section_into_view(opened, qtbot):
    _, app, panel = opened
    area = panel.findChild(QScrollArea)
    area.verticalScrollBar().setValue(0)
    last = panel.correct.findChild(QPushButton, "edit.redo")
    assert last.visibleRegion().isEmpty()
    QTest.keyClick(panel.window().findChild(QtViewer).canvas.native, Qt.Key.Key_B)
    assert app.tools.tool == "brush"
    qtbot.waitUntil(lambda: not last.visibleRegion().isEmpty(), timeout=PATIENCE)


def test_the_menu_reaches_every_command_and_greys_what_can_not_be_done(opened):
    _, app, panel = opened
    menu = panel.menu
    menu.menu.aboutToShow.emit()
    actions = {action.objectName(): action for _, action in menu._actions}
    assert set(actions) == set(COMMANDS)
    assert not actions["edit.undo"].isEnabled()
    assert "nothing to undo" in actions["edit.undo"].toolTip()
    actions["window.bone"].trigger()
    assert app.view.window.name == "Bone"


def test_letters_lie_at_the_edges_and_let_the_mouse_through(opened, qtbot):
    _, _, panel = opened
    canvas = panel.window().findChild(QtViewer).canvas.native
    left, bottom = panel.letters.labels["left"], panel.letters.labels["bottom"]
    qtbot.waitUntil(lambda: abs(left.geometry().center().y() - canvas.height() // 2) <= 1, timeout=PATIENCE)
    assert left.x() < 20
    assert canvas.height() - bottom.geometry().bottom() < 20
    assert left.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)


def test_wishes_of_the_hand_go_both_ways(opened, qtbot):
    _, app, panel = opened
    correct = panel.correct
    correct.slider.setValue(correct.slider.maximum())
    assert app.tools.radius_mm == 60.0
    app.tools.radius_mm = 2.5
    qtbot.waitUntil(lambda: correct.radius.value() == 2.5, timeout=PATIENCE)
    assert app.tools.radius_mm == 2.5
    click(panel, "reach.3d")
    assert app.tools.hand_reach == "volume"
    correct.limit.value = True
    correct.high.value = 120
    assert (app.tools.limit_to_range, app.tools.range_high) == (True, 120)
    correct.rule.setCurrentIndex(1)
    assert app.tools.rule == "background"
    click(panel, "sign.remove")
    assert not app.tools.positive


def test_the_segment_table_names_hides_locks_and_chooses(opened, qtbot):
    _, app, panel = opened
    case, table = app.case, panel.segments.table
    click(panel, "segments.add")
    click(panel, "segments.add")
    qtbot.waitUntil(
        lambda: panel.segments.model.rowCount() == 2 and table.currentIndex().row() == 1, timeout=PATIENCE
    )
    panel.findChild(QScrollArea).ensureWidgetVisible(table)

    def press(row, column):
        place = table.visualRect(panel.segments.model.index(row, column)).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)

    press(0, Column.NAME)
    assert case.active == 1
    press(0, Column.VISIBLE)
    press(1, Column.LOCKED)
    assert case.active == 1
    assert [(s.visible, s.locked) for s in case.table] == [(False, False), (True, True)]

    table.edit(panel.segments.model.index(0, Column.NAME))
    editor = table.viewport().findChild(QLineEdit)
    QTest.keyClicks(editor, "Liver")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: case.table[1].name == "Liver", timeout=PATIENCE)


def test_volumes_are_counted_when_the_labels_come_to_rest(opened, qtbot):
    _, app, panel = opened
    segment = app.case.add_segment("Box")
    app.tools.hand_reach, app.tools.tool, app.tools.radius_mm = "volume", "brush", 10.0
    app.painter.press([10, 15, 12], 0)
    app.painter.release()
    voxels = int((app.case.segmentation.labels == segment.value).sum())
    expected = format_volume(voxels * 12 / 1000)
    model = panel.segments.model
    qtbot.waitUntil(
        lambda: model.rowCount() == 1 and model.index(0, Column.VOLUME).data() == expected, timeout=PATIENCE
    )
    assert voxels > 100
    app.case.add_segment("Empty")
    qtbot.waitUntil(
        lambda: model.rowCount() == 2 and model.index(1, Column.VOLUME).data() == "0.00", timeout=PATIENCE
    )


def test_errors_stay_until_read_and_notes_pass_by(opened):
    _, app, panel = opened
    strip = panel.notices
    app.notice("a refusal", "error")
    app.notice("another", "warning")
    app.notice("a refusal", "error")  # the same once more
    assert strip.current == Notice("a refusal", "error")  # what was said last
    app.notice("saved", "info")
    assert strip.text.text() == "Saved (2 more to read)"
    strip._fading.timeout.emit()
    assert strip.text.text() == "A refusal (1 more to read)"
    app.notice("saved again", "info")
    for shown in ("Saved again (2 more to read)", "A refusal (1 more to read)", "Another"):
        assert strip.text.text() == shown
        click(panel, "notice.dismiss")
    assert not strip.isVisible()


def test_a_refusal_is_read_at_once_whatever_was_said_before(opened):
    _, app, panel = opened
    strip = panel.notices
    for text, kind in (("older", "error"), ("saved", "info"), ("newer", "error")):
        app.notice(text, kind)
    for shown in ("Newer (1 more to read)", "Older"):
        assert strip.text.text() == shown
        click(panel, "notice.dismiss")
    assert not strip.isVisible()


def test_a_long_job_shows_progress_and_can_be_cancelled(opened, qtbot):
    _, app, panel = opened

    def work(progress, cancel):
        while True:
            cancel.check()
            time.sleep(0.01)

    job = app.jobs.submit("Counting stars", work)
    qtbot.waitUntil(panel.jobs.isVisible, timeout=PATIENCE)
    assert "Counting stars" in panel.jobs.title.text()
    click(panel, "jobs.cancel")
    qtbot.waitUntil(lambda: job.state == "cancelled" and not panel.jobs.isVisible(), timeout=PATIENCE)
    assert panel.notices.current == Notice("stopped: Counting stars; nothing was changed")


def test_a_file_dropped_on_the_image_is_opened_in_the_background(window, image_file, qtbot):
    _, app, panel = window
    target = panel.window().findChild(QtViewer)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(image_file))])
    facts = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(target, QDragEnterEvent(QPoint(50, 50), *facts))
    QApplication.sendEvent(target, QDropEvent(QPointF(50, 50), *facts))
    qtbot.waitUntil(lambda: app.case is not None, timeout=PATIENCE)


def test_images_opened_through_napari_become_the_case_once(window, image_file, qtbot):
    viewer, app, panel = window
    viewer.open(image_file, plugin=None)
    qtbot.waitUntil(lambda: app.case is not None, timeout=PATIENCE)
    assert [layer.name for layer in viewer.layers] == ["chest", "Segments", "Prompts"]
    assert viewer.layers["chest"] is panel.binding.image


def test_labels_saved_through_napari_keep_names_and_place(opened, tmp_path):
    from napari_volseg.formats import load_labels

    viewer, app, _ = opened
    app.case.add_segment("Liver")
    (path,) = viewer.layers["Segments"].save(str(tmp_path / "out.nii.gz"), plugin="napari-volseg")
    saved = load_labels(path, app.case.volume)
    assert [s.name for s in saved.table] == ["Liver"]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_is_cut_at_1366_by_768(opened, theme, qtbot):
    viewer, app, panel = opened
    viewer.theme = theme
    app.case.add_segment("A segment")
    app.notice(
        "labels of shape (3, 4, 5) do not match an image of shape (30, 40, 50): open those of this image", "error"
    )
    longest = max(app.models.models, key=lambda model: len(model.card.title))
    app.tools.model = longest.key
    for section in panel.sections:
        section.expanded = True
    qtbot.wait(100)
    assert panel.segment.models.currentText() == longest.card.title
    assert panel.window().height() <= 768
    assert panel.window().width() <= 1366
    column = panel.findChild(QScrollArea)
    assert column.widget().width() <= column.viewport().width()

    def nothing_is_cut():
        cut = [f"{w.objectName() or type(w).__name__}: {_text(w)!r}" for w in _shown(panel) if _is_cut(w, panel)]
        assert not cut

    qtbot.waitUntil(nothing_is_cut, timeout=PATIENCE)  # a busy machine takes longer to lay the panel out


def test_no_greeting_of_napari_meets_the_user(qtbot, monkeypatch):
    monkeypatch.setattr("napari._qt.qt_main_window.SHOW_QT_WARNING", True)
    seen = []
    notification_manager.notification_ready.connect(seen.append)
    viewer, _, _ = create_window()
    qtbot.wait(50)
    viewer.close()
    notification_manager.notification_ready.disconnect(seen.append)
    assert [n.message for n in seen] == []


def test_the_window_never_opens_larger_than_the_screen(qtbot):
    remembered = get_settings().application
    remembered.first_time, remembered.window_size, remembered.window_maximized = False, (9000, 9000), False
    viewer, _, panel = create_window()
    qtbot.wait(50)
    room = panel.window().screen().availableGeometry()
    assert room.contains(panel.window().geometry())
    viewer.close()


def test_the_wheel_scrolls_the_panel_and_turns_no_value(shared):
    _, app, panel = shared
    app.adopt(make_volume())
    app.tools.limit_to_range = True
    QApplication.processEvents()
    area = panel.findChild(QScrollArea)
    values = [
        lambda: [box.text() for box in area.widget().findChildren(QAbstractSpinBox)],
        lambda: [box.currentIndex() for box in area.widget().findChildren(QComboBox)],
        lambda: [slider.value() for slider in area.widget().findChildren(QSlider)],
    ]
    before = [read() for read in values]
    assert all(before)
    for kind in (QAbstractSpinBox, QComboBox, QSlider):
        for widget in area.widget().findChildren(kind):
            area.ensureWidgetVisible(widget)
            widget.setFocus()
            assert not any(turn_wheel(widget, turn) for turn in (-120, 120))
    assert [read() for read in values] == before


def test_a_stroke_that_begins_with_a_double_click_is_painted(shared):
    viewer, app, panel = shared
    app.adopt(make_volume())
    app.tools.tool = "brush"
    QApplication.processEvents()
    zoom = viewer.scene.camera.zoom
    canvas = panel.window().findChild(QtViewer).canvas.native
    start = canvas.rect().center()
    for kind, point in ((QEvent.Type.MouseButtonDblClick, start), (QEvent.Type.MouseMove, start + QPoint(60, 0))):
        send_mouse(canvas, kind, point)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=start + QPoint(60, 0))
    assert np.ptp(np.nonzero(app.case.segmentation.labels)[2]) * 2 > 60 / zoom
    assert viewer.scene.camera.zoom == zoom


def test_a_segment_that_is_hidden_is_told_while_a_tool_is_in_hand(shared, qtbot):
    _, app, panel = shared
    app.adopt(make_volume())
    segment = app.case.add_segment("Liver")
    app.tools.tool = "brush"
    qtbot.waitUntil(lambda: "Paint" in panel.hint.text(), timeout=PATIENCE)
    app.case.edit_segment(segment.value, visible=False)
    qtbot.waitUntil(lambda: "Liver is hidden" in panel.hint.text(), timeout=PATIENCE)
    app.case.edit_segment(segment.value, visible=True)
    app.view.labels_visible = False
    qtbot.waitUntil(lambda: "Segments are hidden" in panel.hint.text(), timeout=PATIENCE)
    app.view.labels_visible = True
    qtbot.waitUntil(lambda: "Paint" in panel.hint.text(), timeout=PATIENCE)


@pytest.mark.parametrize("name", ["rule", "magicgui.QDoubleSpinBox"])
def test_enter_in_a_box_ends_what_is_typed_and_not_the_outline_in_hand(shared, name):
    _, app, panel = shared
    app.adopt(make_volume())
    app.tools.tool = "polygon"
    for place in ((2, 3, 3), (2, 3, 9), (2, 9, 9)):
        app.drawing.press(place, 0)
    box = panel.correct.findChild(QWidget, name)
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert app.drawing.outline is not None
    QTest.keyClick(panel.correct.findChild(QPushButton, "tool.lasso"), Qt.Key.Key_Return)
    assert app.drawing.outline is None


def test_in_3d_the_hint_does_not_promise_to_paint(shared, qtbot):
    _, app, panel = shared
    app.adopt(make_volume())
    app.tools.tool = "brush"
    qtbot.waitUntil(lambda: "Paint" in panel.hint.text(), timeout=PATIENCE)
    app.view.three_d = True
    qtbot.waitUntil(lambda: "turns the view" in panel.hint.text(), timeout=PATIENCE)
    app.view.three_d = False


def test_an_engine_of_others_in_the_list_asks_for_its_terms_and_greys_what_it_can_not_do(opened, qtbot, monkeypatch):
    _, app, panel = opened
    engines, asked, yes = panel.findChild(QComboBox, "engines"), [], False
    app.engines.engines["litemedsam"] = litemedsam_model()
    app.engines.changed.emit()
    monkeypatch.setattr(dialogs, "ask_yes", lambda parent, text: asked.append(text) or yes)
    engines.setCurrentIndex(engines.findData("litemedsam"))
    assert "Apache-2.0" in asked[0]
    assert engines.currentData() == app.engines.chosen.card.id == "regions"
    yes = True
    engines.setCurrentIndex(engines.findData("litemedsam"))
    assert engines.currentData() == app.engines.chosen.card.id == "litemedsam"
    assert COMMANDS["tool.box"].why_not(app) is None
    assert "takes no clicks" in COMMANDS["tool.click"].why_not(app)
    assert "takes no scribbles" in COMMANDS["tool.scribble"].why_not(app)
    assert "takes no lassos" in COMMANDS["tool.lasso-prompt"].why_not(app)
    app.tools.engine = "regions"
    qtbot.waitUntil(lambda: engines.currentData() == "regions")
    del app.engines.engines["litemedsam"]
    app.engines.changed.emit()


def test_keys_run_commands_whatever_of_the_panel_was_clicked_last(shared):
    _, app, panel = shared
    app.adopt(make_volume())
    heart = app.case.add_segment(name="Heart")
    app.case.add_segment(name="Bone")
    app.case.active = heart.value
    QApplication.processEvents()
    for widget in (panel.segments.table, panel.segment.models, panel.findChild(QAbstractSpinBox, "radius")):
        app.tools.tool = "navigate"
        widget.setFocus()
        QTest.keyClick(widget, Qt.Key.Key_B)
        assert app.tools.tool == "brush"
        assert app.case.active == heart.value
        assert app.case.table[heart.value].name == "Heart"
    radius = panel.findChild(QAbstractSpinBox, "radius")
    radius.selectAll()
    QTest.keyClicks(radius, "12")
    QTest.keyClick(radius, Qt.Key.Key_Return)
    assert app.tools.radius_mm == 12
    QTest.keyClick(panel.segments.table, Qt.Key.Key_Down)
    assert app.case.active != heart.value


def test_closing_the_window_ends_its_threads(qtbot):
    before = set(threading.enumerate())
    viewer, _, _ = create_window()
    assert {t.name for t in set(threading.enumerate()) - before} >= {"volseg-files", "volseg-network"}
    viewer.close()
    qtbot.waitUntil(lambda: set(threading.enumerate()) <= before, timeout=PATIENCE)


def test_taking_the_panel_out_gives_the_viewer_back(window):
    viewer, app, panel = window
    app.adopt(make_volume())
    assert len(viewer.layers) == 3
    viewer.window.remove_dock_widget(panel)
    assert len(viewer.layers) == 0
    assert DOCK_NAME not in viewer.window.dock_widgets
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    viewer.add_points([[0, 0]])


def _shown(panel):
    kinds = (QPushButton, QLabel, QComboBox, QCheckBox, QAbstractSpinBox)
    return [w for w in panel.findChildren(QWidget) if isinstance(w, kinds) and w.isVisibleTo(panel)]


def _text(widget):
    return widget.currentText() if isinstance(widget, QComboBox) else widget.text()


def _is_cut(widget, panel):
    """Whether text does not fit its widget, or the widget does not fit the width of the panel."""
    left = widget.mapTo(panel, QPoint(0, 0)).x()
    if left < 0 or left + widget.width() > panel.width():
        return True
    needed = widget.fontMetrics().horizontalAdvance(_text(widget))
    if isinstance(widget, QAbstractSpinBox):
        return needed > widget.lineEdit().contentsRect().width()
    if isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        field = widget.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, widget
        )
        return needed > field.width()
    if isinstance(widget, QLabel) and widget.wordWrap():
        return widget.height() < widget.heightForWidth(widget.width())
    hint = widget.sizeHint()
    return widget.width() < hint.width() or widget.height() < hint.height()


def test_dicom_that_napari_opened_without_its_place_is_read_anew(window, sample_data, qtbot):
    viewer, app, _ = window
    viewer.open(sample_data / "torso-ct-dicom")
    qtbot.waitUntil(lambda: app.case is not None, timeout=PATIENCE)
    assert app.case.volume.geometry.spacing == pytest.approx((3, 2, 2))
    assert tuple(viewer.layers[0].scale) == pytest.approx((3, 2, 2))
    assert len({layer.name for layer in viewer.layers}) == 3


def test_what_only_the_user_can_decide_is_asked(window, series_with_a_gap, qtbot):
    _, app, panel = window
    asked = []

    def answer():
        dialog = panel.window().findChild(dialogs.ChoiceDialog)
        if dialog is None or not dialog.isVisible():
            QTimer.singleShot(50, answer)
            return
        asked.append([dialog.list.item(row).text() for row in range(dialog.list.count())])
        QTest.keyClick(dialog.list, Qt.Key.Key_Return)

    QTimer.singleShot(50, answer)
    app.open_path(series_with_a_gap)
    qtbot.waitUntil(lambda: app.case is not None, timeout=PATIENCE)
    assert asked == [
        ["Put a marked empty slice in each gap", "Open the parts without gaps as volumes of their own"],
    ]
    assert app.case.volume.geometry.shape == (6, 4, 5)


def test_the_import_report_unfolds_by_mouse_and_key_and_can_be_copied(window, series_with_a_gap, image_file, qtbot):
    _, app, panel = window
    report, header = panel.report, panel.findChild(QPushButton, "view.report")
    assert not header.isVisible()
    app.open_path(series_with_a_gap, Decided(Answers(on_missing_slice="empty")))
    qtbot.waitUntil(lambda: header.isVisible() and "1 warning" in header.text(), timeout=PATIENCE)
    assert not report.expanded

    click(panel, "view.report")
    qtbot.waitUntil(report.text.isVisible, timeout=PATIENCE)
    shown = report.text.toPlainText()
    assert "1 slice is missing and left empty: 2" in shown
    assert "as on_missing_slice = empty says" in shown
    assert report.text.horizontalScrollBar().maximum() == 0
    assert report.text.verticalScrollBar().maximum() == 0
    click(panel, "report.copy")
    assert QApplication.clipboard().text() == app.report.as_text()

    report.text.setFocus()
    QTest.keyClick(report.text, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(report.text, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "left empty: 2" in QApplication.clipboard().text()
    QTest.keyClick(report.text, Qt.Key.Key_I)
    qtbot.waitUntil(lambda: not report.text.isVisible(), timeout=PATIENCE)
    header.setFocus()
    QTest.keyClick(header, Qt.Key.Key_Space)
    qtbot.waitUntil(report.text.isVisible, timeout=PATIENCE)

    app.open_path(image_file)
    qtbot.waitUntil(lambda: "NIfTI, 1 file" in report.text.toPlainText(), timeout=PATIENCE)
    assert "left empty" not in report.text.toPlainText()
    assert "warning" in header.text()
