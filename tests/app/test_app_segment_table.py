"""The facts of the segment table: figures, standard names, solo, the middle of a segment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_volseg.app import Application, run_command
from napari_volseg.app.figures import SliceSums
from napari_volseg.app.terms import search_terms, term_of, terms
from napari_volseg.core import TISSUE, Box, BoxMask, Geometry, Segmentation, UsageError, Volume
from napari_volseg.editing import Author
from napari_volseg.measure import segment_statistics

SHAPE = (14, 30, 40)


def paint(app: Application, start, stop, value: int) -> None:
    box = Box.of(start, stop)
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), value, name="t", author=Author("hand", "t"))


@pytest.fixture
def app() -> Iterator[Application]:
    app = Application()
    voxels = np.random.default_rng(2).normal(60, 25, SHAPE).astype(np.float32)
    voxels[5, 6, 7] = np.nan
    app.adopt(Volume(voxels, Geometry.from_spacing(SHAPE, (3.0, 0.8, 0.7)), "CT", "HU", "HU", "test"))
    for name in ("Liver", "Spleen", "Thing"):
        app.case.name_segment(app.case.add_segment().value, name)
    paint(app, (2, 3, 4), (9, 12, 14), 1)
    paint(app, (5, 14, 20), (12, 28, 39), 2)
    yield app
    app.close()


def same_as_statistics(app: Application) -> None:
    for expected in segment_statistics(app.case.segmentation, app.case.volume):
        known = app.figures.of(expected.value)
        assert known.voxels == expected.voxels
        assert known.millilitres == pytest.approx(expected.volume_ml)
        if expected.mean is None:
            assert known.mean is None
        else:
            assert (known.mean, known.sd) == pytest.approx((expected.mean, expected.sd), rel=1e-6)


def test_figures_are_those_of_the_report_after_every_change(app) -> None:
    app.jobs.wait(app.figures.count())
    same_as_statistics(app)
    paint(app, (4, 2, 2), (6, 20, 30), 3)
    app.jobs.wait(app.figures.count())
    same_as_statistics(app)
    app.undo()
    app.case.remove_segment(1)
    app.case.add_segment("New")
    app.jobs.wait(app.figures.count())
    same_as_statistics(app)


def test_only_slices_that_changed_are_counted_anew(app, monkeypatch) -> None:
    app.jobs.wait(app.figures.count())
    counted = []
    real = SliceSums.count
    monkeypatch.setattr(SliceSums, "count", lambda self, index: counted.append(index) or real(self, index))
    paint(app, (4, 2, 2), (6, 20, 30), 3)
    app.jobs.wait(app.figures.count())
    assert sorted(counted) == [4, 5]
    same_as_statistics(app)


def test_a_count_that_is_given_up_is_made_up_for(app) -> None:
    app.figures.count()
    app.jobs.cancel_all()
    app.jobs.wait()
    app.jobs.wait(app.figures.count())
    same_as_statistics(app)


def test_standard_names_are_found_by_their_words_labels_and_codes() -> None:
    assert {t.name for t in search_terms("kidn")} == {"Left kidney", "Right kidney"}
    assert search_terms("liver")[0].name == "Liver"
    assert [t.name for t in search_terms("lung_upper_lobe_left")] == ["Left upper lobe of lung"]
    assert [t.name for t in search_terms("vertebrae L3")] == ["Vertebra L3"]
    assert {t.name for t in search_terms("64033007")} == {"Left kidney", "Right kidney"}
    assert search_terms("zzz") == ()
    assert term_of("SPLEEN").type.value == "78961009"
    assert term_of("kidney_left").name == "Left kidney"
    names = [t.name for t in terms()]
    assert len(set(names)) == len(names) > 200
    assert all(t.type.scheme == "SCT" and t.type.value.isdigit() for t in terms())


def test_a_name_brings_its_code_and_takes_it_along(app) -> None:
    table = app.case.table
    assert table[1].type.value == "10200004"
    assert table[3].type == TISSUE
    app.case.name_segment(1, "kidney_left")
    assert (app.case.table[1].name, app.case.table[1].type.meaning) == ("Left kidney", "Kidney")
    app.case.name_segment(1, "My own words")
    assert app.case.table[1].type == TISSUE
    app.undo()
    assert app.case.table[1].type.meaning == "Kidney"


def test_alone_and_all_again(app) -> None:
    app.case.active = 2
    run_command(app, "segment.solo")
    assert [s.visible for s in app.case.table] == [False, True, False]
    run_command(app, "segment.solo")
    assert all(s.visible for s in app.case.table)
    app.undo()
    assert [s.visible for s in app.case.table] == [False, True, False]


def test_the_middle_lies_inside_even_of_a_ring(app) -> None:
    paint(app, (3, 2, 2), (4, 20, 22), 3)
    ring = Box((3, 5, 5), (4, 17, 19))
    app.case.session.apply(BoxMask(ring, np.ones(ring.shape, bool)), 0, name="t", author=Author("hand", "t"))
    app.case.active = 3
    run_command(app, "segment.go-to")
    app.jobs.wait()
    assert app.case.segmentation.labels[app.view.index] == 3
    app.case.add_segment("Nothing")
    told = []
    app.noticed.connect(told.append)
    run_command(app, "segment.go-to")
    app.jobs.wait()
    assert "no voxels" in told[0].text


def test_status_is_a_step(app) -> None:
    app.case.active = 1
    run_command(app, "segment.status-flagged")
    assert app.case.table[1].status == "flagged"
    app.undo()
    assert app.case.table[1].status == "not started"


def test_an_opacity_out_of_range_is_refused(app) -> None:
    with pytest.raises(UsageError, match="outside 0 to 1"):
        app.case.edit_segment(1, opacity=0.0)


def test_opacity_goes_with_labels_as_nifti(app, tmp_path) -> None:
    from napari_volseg.formats import load_labels

    app.case.edit_segment(1, opacity=0.4)
    app.export("nifti", tmp_path / "labels")
    app.jobs.wait()
    loaded: Segmentation = load_labels(tmp_path / "labels.nii.gz", app.case.volume)
    assert loaded.table[1].opacity == 0.4
