"""Why references of ``real_series.py`` differ from ours, as the tags of the files tell."""

from __future__ import annotations

import re

#: Series, reference (patterns), and the reason.
_NOTES = (
    (
        "S21610",
        "_Tilt_",
        "a second file, interpolated onto an upright grid with 100 rows more; ours keeps the acquired slices",
    ),
    (
        "S21610",
        "",
        "gantry tilt of 16.5°: by their positions slices are 2.5 mm apart along z; the reference keeps the shear "
        "but steps by 2.5 · cos 16.5° = 2.397 mm, which adds up over 57 steps",
    ),
    (
        "S21570/S4010",
        "refused",
        "three derived pictures of one surview at one position: nothing orders them in space, and no order would "
        "make a volume",
    ),
    (
        "S21570/S4010",
        r"_401_1A|`401_1A",
        "the three pictures at one position that we refuse, which the reference makes volumes of a series",
    ),
    ("S21570/S4010", "", "screenshots without position, orientation or spacing: there is no place to compare"),
    (
        "dcm_qa_enh/In/Philips",
        "-p n:",
        "the same values; the reference keeps its slope and intercept in single precision",
    ),
    (
        "dcm_qa_enh/In/Philips",
        r"_e1\.nii",
        "by its default the reference divides by Rescale Slope · private scale slope (1.27985 · 8.44864e-06, tag "
        "(2005,100E)); ours are the values of DICOM's Rescale Slope, as those with the option `-p n`",
    ),
    (
        "dcm_qa_enh/In/Philips",
        "fieldmap",
        "the reference's slope is 0.2442017 where the file's Rescale Slope is 0.2442002: 1.4e-06 · 4084 = 0.0059",
    ),
    (
        "dcm_qa_frag",
        "",
        "positions are written with rounding; the reference takes the step of the first two, 2.0001 mm, for all 95, "
        "ours is fitted to all (2.0000 mm)",
    ),
)


def note_on(series: str, reference: str) -> str:
    """Return the reason of a difference, empty where none is known."""
    for where, which, note in _NOTES:
        if where in series and re.search(which, reference):
            return note
    return ""
