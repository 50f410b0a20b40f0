"""What a reader has to say about a file, and of which kind that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["note", "warning"]
Kind = Literal["found", "repaired", "assumed", "decided", "left_out"]

_OF_KIND: dict[Kind, str] = {
    "found": """
        dicom.at_detector dicom.burned_in dicom.color dicom.corners_differ dicom.empty_uids dicom.executable_preamble
        dicom.frame_of_reference dicom.lossy dicom.may_show_text dicom.mixed_series dicom.modality_lut
        dicom.monochrome1 dicom.mosaic dicom.quadruped
        dicom.no_suv dicom.quantity_unknown dicom.split dicom.tilted
        nifti.analyze nifti.extension nifti.forms_differ nifti.orientation_unknown nifti.view_only
        nrrd.orientation_unknown
        """,
    "repaired": """
        dicom.cosines dicom.empty_slices dicom.jitter dicom.orientation_varies dicom.resampled dicom.spacing_differs
        dicom.suv dicom.thickness_differs
        labels.overlap labels.rounded labels.scaled
        nifti.bitpix nifti.narrowed nifti.negative_spacing nifti.offset nifti.qfac nifti.scaling
        nifti.spacing_differs nifti.unit_converted
        nrrd.unit_converted
        """,
    "assumed": """
        dicom.no_preamble dicom.suv_type dicom.thickness_unknown dicom.time_assumed dicom.uncalibrated
        metaimage.assumed_ct metaimage.assumed_place metaimage.byte_order
        nifti.assumed_ct nifti.form_code nifti.unit_unknown
        nrrd.assumed_ct nrrd.no_origin
        """,
    "decided": """
        decided.on_duplicate_slice decided.on_missing_position decided.on_missing_slice decided.on_mixed_series
        decided.on_no_geometry decided.on_uneven_spacing decided.time
        place.form_chosen place.orientation_chosen
        """,
    "left_out": """
        dicom.copies dicom.duplicates_left_out dicom.left_out dicom.no_position dicom.overlays dicom.window_ignored
        nifti.qform_unusable
        """,
}
#: Kind of each finding by its code; what is not listed is ``"found"``.
KINDS: dict[str, Kind] = {code: kind for kind, codes in _OF_KIND.items() for code in codes.split()}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found, repaired, assumed, decided or left out while reading a file.

    Parameters
    ----------
    code
        Stable identifier such as ``"dicom.thickness_differs"``; ``KINDS`` says of which kind it is.
    message
        One sentence for the user.
    severity
        ``"warning"`` is shown at once, ``"note"`` on request.
    """

    code: str
    message: str
    severity: Severity = "warning"

    @property
    def kind(self) -> Kind:
        """Whether the file was like that, was mended, left something open, or made the user choose."""
        return KINDS.get(self.code, "found")
