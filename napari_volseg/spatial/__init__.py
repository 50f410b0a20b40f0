"""Grid algebra: reorient, resample, straighten, crop, lines through a grid, how the anatomical planes lie in it."""

from napari_volseg.spatial.crop import LONGEST_AXIS, crop_geometry, steps_within, thin_geometry
from napari_volseg.spatial.planes import PLANES, Letters, Plane, edge_letters, letters_around, plane_axis
from napari_volseg.spatial.rays import voxels_along
from napari_volseg.spatial.reorient import (
    DISPLAY_CODES,
    apply_reorientation,
    display_reorientation,
    invert_reorientation,
    reorient_geometry,
    reorientation_to,
)
from napari_volseg.spatial.resample import covered, regrid, resample
from napari_volseg.spatial.straighten import Straightening, straightening, upright_frame
from napari_volseg.spatial.surfaces import Surface, normals, surface_of, vertex_count

__all__ = [
    "DISPLAY_CODES",
    "LONGEST_AXIS",
    "PLANES",
    "Letters",
    "Plane",
    "Straightening",
    "Surface",
    "apply_reorientation",
    "covered",
    "crop_geometry",
    "display_reorientation",
    "edge_letters",
    "invert_reorientation",
    "letters_around",
    "normals",
    "plane_axis",
    "regrid",
    "reorient_geometry",
    "reorientation_to",
    "resample",
    "steps_within",
    "straightening",
    "surface_of",
    "thin_geometry",
    "upright_frame",
    "vertex_count",
    "voxels_along",
]
