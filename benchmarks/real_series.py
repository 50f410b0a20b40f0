"""Real series against NIfTI files that other programs made of them: voxels and corners, series by series.

    python benchmarks/real_series.py --data FOLDER --peers PYTHON [--markdown FILE]

References are those that came with the data and what dcm2niix, from the peers' environment, makes of the same files.
Each is compared with the volume of ours that is nearest, and both with the tags of each slice. ``README.md`` tells
how to make the environment.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_series_images import Image, of_nifti, of_volume, off_the_tags, stated_corners
from real_series_notes import note_on

from napari_volseg.core import VolsegError
from napari_volseg.formats import Answers, RefusedFile, load, scan

#: Corners that are nearer, mm, agree.
CORNER_MM = 1e-2
_IBSI = "ibsi/ibsi_validation"
#: DICOM series, and the NIfTI files that came with them.
SERIES: dict[str, tuple[str, ...]] = {
    "totalsegmentator/tests/reference_files/example_ct_dicom": (),
    "dcm_qa_canon_61/In/enh": ("dcm_qa_canon_61/Ref/9000_SAG_DTI_PA-ortho_enh.nii.gz",),
    "dcm_qa_ct/In/Philips/S21570/S1000": (),
    "dcm_qa_ct/In/Philips/S21570/S2010": (),
    "dcm_qa_ct/In/Philips/S21570/S4010": (),
    "dcm_qa_ct/In/Philips/S21610/S3010": (),
    "dcm_qa_decubitus/In/HFDL/2_t1_fl2d_sag": (),
    "dcm_qa_decubitus/In/HFS/3_t1_fl2d_sag": (),
    "dcm_qa_enh/In/Philips": ("dcm_qa_enh/Ref/Philips_*.nii",),
    "dcm_qa_enh/In/Siemens/XA10": ("dcm_qa_enh/Ref/Siemens_*.nii",),
    "dcm_qa_frag/In/6001_anat-T1w_acq-tfl": ("dcm_qa_frag/Ref/*.nii",),
    "dcm_qa_nih/In/20180918GE/mr_0004": ("dcm_qa_nih/Ref/DCM2NIIX_regression_test_4.nii",),
    "dcm_qa_nih/In/20180918Si/mr_0003": ("dcm_qa_nih/Ref/EPI_PE=AP_3.nii",),
    **{f"dcm_qa_ts/In/{n}.dcm": (f"dcm_qa_ts/Ref/{n}.nii",) for n in range(1, 10)},
    "dcm_qa_xa30/In/5_anat-T1w_acq-tfl": ("dcm_qa_xa30/Ref/5_*.nii",),
    "dcm_qa_xa30/In/8_gre_field_mapping": ("dcm_qa_xa30/Ref/8_*.nii",),
    **{
        f"{_IBSI}/dicom/{patient}/{kind}/image": (f"{_IBSI}/nifti/{patient}/{kind}_image.nii.gz",)
        for patient in ("STS_001", "STS_005")
        for kind in ("CT", "MR_T1", "PET")
    },
}
#: Options for a second conversion: here without a scaling of the vendor's own.
OPTIONS = {"dcm_qa_enh/In/Philips": ("-p", "n")}
#: What is answered where a series asks: its images as they are.
ANSWERS = Answers(on_no_geometry="stack")
#: Refusals of an index, which lists files by their places on the medium that they came from.
_INDEX = ("dicom.directory_missing",)


@dataclass(frozen=True)
class Line:
    """One comparison of a series with a reference, or why there is none."""

    series: str
    reference: str
    voxels: str
    corners: str = ""
    ours_to_tags: str = ""
    theirs_to_tags: str = ""

    @property
    def agrees(self) -> bool:
        return (self.voxels, self.corners) == ("equal", "equal")


def voxels_in_words(ours: Image, theirs: Image) -> str:
    """Return how the voxels of two images differ, "equal" where they don't."""
    if ours.array.shape != theirs.array.shape:
        return f"{_shape(ours)} against {_shape(theirs)}"
    difference = np.abs(ours.array.astype(np.float64) - theirs.array)
    if not difference.any():
        return "equal"
    share = np.count_nonzero(difference) / difference.size
    return f"up to {difference.max():.2g} apart in {share:.0%} (ours reach {np.abs(ours.array).max():.5g})"


def _shape(image: Image) -> str:
    times, *sizes = image.array.shape
    return " × ".join(map(str, sizes if times == 1 else (times, *sizes)))


def compared(
    series: str, ours: Sequence[Image], theirs: Sequence[tuple[str, Image]], stated: NDArray[np.float64]
) -> Iterator[Line]:
    """Yield a line for each reference."""
    if not ours:
        yield Line(series, f"{len(theirs)} files", "not opened by us")
        return
    for source, reference in theirs:
        name = f"{source} `{reference.name}`"
        yield _line(series, name, min(ours, key=lambda image: _distance(image, reference)), reference, stated)


def _distance(ours: Image, theirs: Image) -> tuple[bool, float]:
    """Return what orders volumes of ours by likeness to a reference: another shape, then corners or values."""
    if ours.array.shape != theirs.array.shape:
        return True, float(np.linalg.norm(ours.corners - theirs.corners))
    return False, float(np.abs(ours.array.astype(np.float64) - theirs.array).mean())


def _line(series: str, name: str, ours: Image, theirs: Image, stated: NDArray[np.float64]) -> Line:
    voxels = voxels_in_words(ours, theirs)
    if not ours.placed:
        return Line(series, name, voxels, "no place")
    far = float(np.linalg.norm(ours.corners - theirs.corners, axis=1).max())
    corners = "equal" if far < CORNER_MM else _millimetres(far)
    if ours.array.shape != theirs.array.shape:
        return Line(series, name, voxels, corners, _millimetres(off_the_tags(ours, ours, stated)))
    off = [_millimetres(off_the_tags(image, ours, stated)) for image in (ours, theirs)]
    return Line(series, name, voxels, corners, *off)


def _millimetres(distance: float) -> str:
    return f"{distance:.2g} mm" if distance >= 5e-5 else "0"


def inflated(source: Path, work: Path) -> Path:
    """Return the folder of a series, whose files may have been compressed to be kept, or may be one of several."""
    if source.is_file():
        shutil.copy(source, work)
        return work
    packed = list(source.glob("*.dcm.gz"))
    for file in packed:
        (work / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    return work if packed else source


def converted(binary: str, source: Path, work: Path, options: Sequence[str] = ()) -> list[tuple[str, Image]]:
    """Return what dcm2niix makes of a series, and what it makes with options."""
    made = []
    for number, chosen in enumerate([(), options] if options else [()]):
        place = work / str(number)
        place.mkdir()
        command = [binary, "-z", "n", "-b", "n", "-f", "%s_%p", *chosen, "-o", str(place), str(source)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        title = " ".join(["dcm2niix", *chosen])
        made += [(f"{title}:", of_nifti(path)) for path in sorted(place.glob("*.nii"))]
    return made


def _refusals(series: str, refused: Sequence[RefusedFile]) -> Iterator[Line]:
    """Yield a line for each kind of refusal, in the words of its first file."""
    codes = Counter(file.code for file in refused if file.code not in _INDEX)
    for code, count in codes.items():
        first = next(file for file in refused if file.code == code)
        more = f" (and {count - 1} more files)" if count > 1 else ""
        yield Line(series, "refused", f"refused: {first.reason}{more}")


def lines_of(data: Path, series: str, given: Sequence[str], binary: str) -> Iterator[Line]:
    """Yield the comparisons of one series."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        source = inflated(data / series, Path(first))
        result = scan(source, answers=ANSWERS)
        ours: list[Image] = []
        for found in result.found:
            try:
                ours.append(of_volume(load(found, answers=ANSWERS)))
            except VolsegError as error:
                yield Line(series, "refused", f"refused: {error}")
        yield from _refusals(series, result.refused)
        theirs = [("came with it:", of_nifti(path)) for pattern in given for path in sorted(data.glob(pattern))]
        theirs += converted(binary, source, Path(second), OPTIONS.get(series, ()))
        yield from compared(series, ours, theirs, stated_corners(source))


def table(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| series | reference | voxels | corners | tags to ours | tags to reference | why |"
    yield "|---|---|---|---|---|---|---|"
    for line in lines:
        why = "" if line.agrees else note_on(line.series, line.reference)
        cells = (line.reference, line.voxels, line.corners, line.ours_to_tags, line.theirs_to_tags, why)
        yield f"| {line.series.removesuffix('/image')} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder of real cases")
    parser.add_argument("--peers", required=True, help="the Python that has dcm2niix")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    program = "import dcm2niix; print(dcm2niix.bin)"
    binary = subprocess.check_output([arguments.peers, "-c", program], text=True).strip()
    lines: list[Line] = []
    for series, given in SERIES.items():
        print(series, file=sys.stderr)
        lines += lines_of(arguments.data, series, given, binary)
    text = "\n".join(table(lines)) + "\n"
    print(text)
    if arguments.markdown is not None:
        arguments.markdown.write_text(text)


if __name__ == "__main__":
    main()
