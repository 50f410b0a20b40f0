"""The sample cases in napari's File menu."""

from __future__ import annotations

from napari_volseg.app import sample_path
from napari_volseg.plugin.readers import LayerData, read


def torso_ct_dicom() -> list[LayerData]:
    """Return the torso CT phantom, from its DICOM series."""
    return read(sample_path("torso-ct-dicom"))


def torso_ct() -> list[LayerData]:
    """Return the torso CT phantom, from NIfTI."""
    return read(sample_path("torso-ct"))


def head_mr_t1() -> list[LayerData]:
    """Return the T1 sequence of the oblique head MR phantom."""
    return read(sample_path("head-mr-t1"))


def head_mr_flair() -> list[LayerData]:
    """Return the FLAIR sequence of the oblique head MR phantom."""
    return read(sample_path("head-mr-flair"))
