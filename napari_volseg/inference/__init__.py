"""A model over a whole volume: model folders, preprocessing, sliding window and the way back to the source grid."""

from napari_volseg.inference.architectures import Architecture, parse_architecture
from napari_volseg.inference.devices import describe_device
from napari_volseg.inference.folders import write_model_folder
from napari_volseg.inference.many import predict_many
from napari_volseg.inference.model import Band, BandCallback, Prediction, RunReport, Seconds, SegmentationModel
from napari_volseg.inference.networks import build_unet
from napari_volseg.inference.nnunet import NnunetModel
from napari_volseg.inference.plans import NnunetPlan, Plan, parse_plan
from napari_volseg.inference.registry import available_models, load_model
from napari_volseg.inference.tissues import CtTissues

__all__ = [
    "Architecture",
    "Band",
    "BandCallback",
    "CtTissues",
    "NnunetModel",
    "NnunetPlan",
    "Plan",
    "Prediction",
    "RunReport",
    "Seconds",
    "SegmentationModel",
    "available_models",
    "build_unet",
    "describe_device",
    "load_model",
    "parse_architecture",
    "parse_plan",
    "predict_many",
    "write_model_folder",
]
