import pytest

from napari_volseg.widgets.wording import as_sentence


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
