from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_volseg.core import Geometry, RefusedError, Segment, Segmentation, SegmentTable, UsageError, Volume
from napari_volseg.measure import report, segment_statistics, write_report


@pytest.fixture
def case() -> tuple[Segmentation, Volume]:
    geometry = Geometry.from_spacing((4, 5, 6), (3.0, 0.7, 0.7))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[1:3, 1:4, 1:5] = 1
    table = SegmentTable((Segment(1, 'Liver, "left"\nlobe'), Segment(2, "Niere äöü")))
    voxels = np.random.default_rng(1).normal(50, 9, geometry.shape).astype(np.float32)
    return Segmentation(labels, geometry, table), Volume(voxels, geometry, "CT", "HU", "HU", "Abdomen")


def test_csv_holds_every_figure_to_seven_digits(tmp_path: Path, case: tuple[Segmentation, Volume]) -> None:
    path = write_report(tmp_path / "r.csv", *case, extra={"model": "ct-tissues", "seconds": {"total": 1.5}})
    with path.open(encoding="utf-8", newline="") as stream:
        liver, kidney = csv.DictReader(stream)
    expected = segment_statistics(*case)[0]
    assert liver["name"] == expected.name
    assert float(liver["volume_ml"]) == pytest.approx(expected.volume_ml, rel=1e-6)
    assert float(liver["sd"]) == pytest.approx(expected.sd, rel=1e-6)
    assert len(liver["sd"]) <= 8
    assert (liver["model"], json.loads(liver["seconds"])) == ("ct-tissues", {"total": 1.5})
    assert (kidney["voxels"], kidney["mean"], kidney["unit"]) == ("0", "", "HU")


def test_json_names_volume_segments_and_extra(tmp_path: Path, case: tuple[Segmentation, Volume]) -> None:
    document = json.loads(write_report(str(tmp_path / "r.JSON"), *case, {"a": 1}).read_text("utf-8"))
    assert document["volume"]["spacing_mm"] == pytest.approx([3.0, 0.7, 0.7])
    assert document["segments"][0]["volume_ml"] == pytest.approx(segment_statistics(*case)[0].volume_ml, rel=1e-6)
    assert document["segments"][1]["mean"] is None
    assert (document["extra"], document["report_version"]) == ({"a": 1}, report.REPORT_VERSION)


def test_an_old_report_survives_a_write_that_does_not_read_back(
    tmp_path: Path, case: tuple[Segmentation, Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.csv"
    path.write_text("old")
    monkeypatch.setattr(report, "_to_csv", lambda table: "damaged")
    with pytest.raises(RefusedError, match="did not read back"):
        write_report(path, *case)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_written_is_refused(tmp_path: Path, case: tuple[Segmentation, Volume]) -> None:
    with pytest.raises(UsageError, match=r"\.csv or \.json"):
        write_report(tmp_path / "r.xlsx", *case)
    with pytest.raises(UsageError, match="JSON types"):
        write_report(tmp_path / "r.csv", *case, {"a": object()})
    with pytest.raises(RefusedError, match="can't be written"):
        write_report(tmp_path / "absent" / "r.csv", *case)
