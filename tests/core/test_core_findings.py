"""Of which kind findings are, and that answers become findings."""

from __future__ import annotations

from dataclasses import fields

import pytest

from napari_volseg.core import CHOICES, KINDS, Answers, Finding, Inquiry
from napari_volseg.core.findings import _OF_KIND


def test_each_code_is_of_one_kind() -> None:
    listed = [code for codes in _OF_KIND.values() for code in codes.split()]
    assert sorted(listed) == sorted(KINDS)


@pytest.mark.parametrize("keyword", [f.name for f in fields(Answers)])
def test_an_answer_given_in_advance_is_a_finding(keyword: str) -> None:
    answer = next(iter(CHOICES[keyword]))
    inquiry = Inquiry(Answers(**{keyword: answer}))
    assert inquiry.ask(keyword, "dicom.x", "two things are odd") == answer
    (finding,) = inquiry.branch().decided
    assert (finding.kind, finding.severity) == ("decided", "note")
    assert finding.message == f"two things are odd; decided: {CHOICES[keyword][answer]}, as {keyword} = {answer} says"
    assert not inquiry.unanswered


def test_a_question_left_open_is_not_decided() -> None:
    inquiry = Inquiry(Answers())
    inquiry.ask("on_missing_slice", "dicom.missing_slices", "a slice is missing")
    assert (len(inquiry.unanswered), inquiry.decided) == (1, [])


def test_what_has_no_kind_was_found() -> None:
    assert Finding("unheard.of", "so it is").kind == "found"
    assert Finding("dicom.thickness_differs", "so it is").kind == "repaired"
