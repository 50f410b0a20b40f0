import pytest

from napari_volseg.widgets.wording import BREAK, LONGEST, as_sentence, breakable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no image is open: open one", "No image is open: open one"),
        ("scan.nii.gz is not complete", "scan.nii.gz is not complete"),
        ("img_01 has no position", "img_01 has no position"),
        ("", ""),
    ],
)
def test_sentences_begin_with_a_capital_and_files_keep_their_names(text, shown):
    assert as_sentence(text) == shown


def test_long_names_of_files_may_be_broken_and_nothing_else():
    name = "/home/someone/sessions/50b1795a64554c38e0d4fc229700f82b.volseg"
    shown = breakable(f"{name} is open in another program")
    assert shown.replace(BREAK, "") == f"{name} is open in another program"
    assert max(map(len, shown.replace(BREAK, " ").split())) == LONGEST
    assert breakable("no image is open: " * 5) == "no image is open: " * 5
