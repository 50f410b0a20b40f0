"""One report per image says what was found, repaired, assumed, decided and left out."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import Recipe, make_instance, rotated, save, setting, setting_each, write_series

import napari_volseg.formats as room
from napari_volseg.core import KINDS, Answers, Geometry, TimeAxis, Volume
from napari_volseg.formats import RefusedFile, import_report, load, open_volume, scan
from napari_volseg.formats.import_report import LISTED

BASE = Recipe()
_CODE = re.compile(r"[a-z]+\.[a-z_]+")


def codes_of_findings() -> Iterator[tuple[str, str]]:
    """Yield each code that a function of the room gives to a finding, and where; f-strings as patterns."""
    for path in sorted(Path(room.__file__).parent.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef) and any(_makes_finding(node) for node in ast.walk(function)):
                yield from ((code, f"{path.name}: {function.name}") for code in _codes_in(function))


def _makes_finding(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Finding", "_if")


def _codes_in(node: ast.AST) -> Iterator[str]:
    name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
    if name.endswith("Error") or name in ("ask", "RefusedFile"):
        return
    if isinstance(node, ast.JoinedStr):
        text = "".join(re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in node.values)
        if re.fullmatch(r"(\\w\+|[a-z]+)\\\.[\w+\\]+", text):
            yield text
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
        yield re.escape(node.value)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _codes_in(child)


def test_every_code_of_a_finding_has_a_kind() -> None:
    used = list(codes_of_findings())
    assert {r"dicom\.thickness_differs", r"nifti\.qfac", r"dicom\.lossy", r"\w+\.assumed_ct"} <= {c for c, _ in used}
    strangers = [f"{code} in {where}" for code, where in used if not any(re.fullmatch(code, c) for c in KINDS)]
    assert not strangers


def gap(folder: Path, *edits: object) -> Path:
    paths = write_series(folder, BASE.also(*edits))
    paths[3].unlink()
    return folder


def kinds(report: object) -> dict[str, str]:
    return {entry.code: entry.kind for entry in report.entries}


def test_a_series_is_reported_as_stored_with_what_was_done_to_it(tmp_path: Path) -> None:
    folder = gap(tmp_path, setting(SliceThickness=9.0))
    volume = open_volume(folder, answers=Answers(on_missing_slice="empty"))
    report = import_report(volume)
    assert kinds(report) == {
        "decided.on_missing_slice": "decided",
        "dicom.empty_slices": "repaired",
        "dicom.thickness_differs": "repaired",
    }
    assert report.warnings == 2
    facts = report.facts
    assert (facts["format"], facts["files"], facts["slices"], facts["shape"]) == ("DICOM", 6, 7, [7, 12, 9])
    assert facts["spacing_mm"] == pytest.approx([3, 2, 1.5])
    assert (facts["axis_codes"], facts["oblique_degrees"], facts["tilt_degrees"]) == ("SPL", 0, 0)
    assert (facts["modality"], facts["quantity"], facts["unit"], facts["time"]) == ("CT", "HU", "HU", None)
    assert json.loads(json.dumps(report.as_dict()))["repaired"][0]["code"] == "dicom.empty_slices"
    text = report.as_text()
    assert "DICOM, 6 files, CT, values in HU\n7 × 12 × 9 voxels (z, y, x) as stored\nspacing 3 × 2 × 1.5 mm" in text
    assert "Decided\n- 1 slice is missing, the first after" in text
    assert "Repaired\n- warning: 1 slice is missing and left empty: 3 (dicom.empty_slices)" in text


def test_what_is_not_decided_yet_is_reported(tmp_path: Path) -> None:
    (found,) = scan(gap(tmp_path)).found
    report = import_report(found)
    (open_question,) = report.of_kind("undecided")
    assert open_question.code == "dicom.missing_slices"
    assert report.facts["quantity"] is None
    assert not report.of_kind("decided")


def test_blocks_know_that_they_were_decided(tmp_path: Path) -> None:
    found = scan(gap(tmp_path), answers=Answers(on_missing_slice="blocks")).found
    assert [f.slices for f in found] == [3, 3]
    for block in found:
        assert [e.code for e in import_report(block).of_kind("decided")] == ["decided.on_missing_slice"]


@pytest.mark.parametrize("answer", ["first", "last"])
def test_images_at_a_taken_position_are_told_as_left_out(tmp_path: Path, answer: str) -> None:
    write_series(tmp_path, BASE)
    again = make_instance(BASE, 3, BASE.stored()[3] + 1)
    again.SOPInstanceUID = "1.2.3.99"
    save(again, tmp_path / "again")
    report = import_report(open_volume(tmp_path, answers=Answers(on_duplicate_slice=answer)))
    (left_out,) = report.of_kind("left_out")
    assert (left_out.code, left_out.severity) == ("dicom.duplicates_left_out", "warning")
    assert f"the {answer} at each position is used" in left_out.message
    assert [e.code for e in report.of_kind("decided")] == ["decided.on_duplicate_slice"]


def test_a_damaged_file_is_left_out_of_the_report_of_no_one_but_its_series(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "a", BASE)
    write_series(tmp_path / "b", BASE.also(series_uid="1.2.3.4.5"))
    paths[3].write_bytes(paths[3].read_bytes()[:-50])
    result = scan(tmp_path)
    reports = {found.series_uid: import_report(found, result.refused) for found in result.found}
    assert [e.code for e in reports[BASE.series_uid].of_kind("left_out")] == ["dicom.left_out"]
    assert not reports[BASE.series_uid].of_kind("refused")
    other = reports["1.2.3.4.5"]
    assert not other.of_kind("left_out")
    assert [e.code for e in other.of_kind("refused")] == ["dicom.incomplete"]
    assert other.warnings == 0


def test_a_loss_that_the_scan_told_survives_an_answer_given_on_loading(tmp_path: Path) -> None:
    paths = write_series(tmp_path, BASE)
    paths[3].write_bytes(paths[3].read_bytes()[:-50])
    (found,) = scan(tmp_path).found
    assert found.decisions
    volume = load(found, answers=Answers(on_missing_slice="empty"))
    assert "dicom.left_out" in kinds(import_report(volume))


def test_of_many_refused_files_a_few_are_named(tmp_path: Path) -> None:
    write_series(tmp_path, BASE)
    (found,) = scan(tmp_path).found
    refused = [RefusedFile(tmp_path / f"f{n}", "path.unreadable", "no") for n in range(LISTED + 7)]
    entries = import_report(found, refused).of_kind("refused")
    assert len(entries) == LISTED + 1
    assert (entries[0].message, entries[-1].message) == ("f0: no", "7 more files")


def test_oblique_and_tilted_grids_say_by_how_much(tmp_path: Path) -> None:
    turned = write_series(tmp_path / "turned", BASE.also(orientation=rotated(12, (0, 0, 1))))[0].parent
    assert import_report(open_volume(turned)).facts["oblique_degrees"] == pytest.approx(12, abs=0.01)
    shift = 3.0 * np.tan(np.radians(15))
    tilted = write_series(tmp_path / "tilted", BASE.also(step=(0, shift, 3.0)))[0].parent
    report = import_report(open_volume(tilted))
    assert report.facts["tilt_degrees"] == pytest.approx(15, abs=0.01)
    assert "gantry tilt of 15°" in report.as_text()


def test_a_made_up_grid_has_no_millimetres(tmp_path: Path) -> None:
    folder = write_series(tmp_path, BASE.also(setting_each(lambda k: {"ImagePositionPatient": None})))[0].parent
    report = import_report(open_volume(folder, answers=Answers(on_no_geometry="stack")))
    assert report.facts["spacing_mm"] is None
    assert "no physical size or place known" in report.as_text()
    assert kinds(report)["dicom.uncalibrated"] == "assumed"


def test_an_orientation_that_was_chosen_is_a_decision(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.nii"
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nib.save(image, path)
    report = import_report(open_volume(path, orientation="LAS"))
    assert [e.code for e in report.of_kind("decided")] == ["place.orientation_chosen"]
    assert report.facts["format"] == "NIfTI"


def test_a_time_axis_and_an_array_in_memory_are_reported() -> None:
    grid = Geometry.from_spacing((3, 4, 5), (2, 1, 1))
    beating = Volume(np.zeros((4, 3, 4, 5)), grid, "MR", time=TimeAxis("time", "s", (0.0, 1.5, 3.0, 4.5)))
    report = import_report(beating)
    assert report.facts["time"] == {"name": "time", "unit": "s", "values": [0.0, 1.5, 3.0, 4.5]}
    assert report.fact_lines()[0] == "memory, MR"
    assert report.fact_lines()[-1] == "4 volumes along time, 0 to 4.5 s"
