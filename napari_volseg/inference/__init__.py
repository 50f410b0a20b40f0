"""A model over a whole volume: model folders, preprocessing, sliding window and the way back to the source grid."""

from napari_volseg.inference.folders import write_model_folder
from napari_volseg.inference.model import Prediction, RunReport, Seconds, SegmentationModel
from napari_volseg.inference.networks import build_unet
from napari_volseg.inference.plans import Architecture, Plan, parse_architecture, parse_plan

__all__ = [
    "Architecture",
    "Plan",
    "Prediction",
    "RunReport",
    "Seconds",
    "SegmentationModel",
    "build_unet",
    "parse_architecture",
    "parse_plan",
    "write_model_folder",
]
