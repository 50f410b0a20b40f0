"""Prompts in, mask out: click-to-segment engines and the simulated user that tests them."""

from napari_volseg.interactive.extending import Extension, extended
from napari_volseg.interactive.protocol import Capabilities, InteractiveModel, InteractiveSession
from napari_volseg.interactive.registry import OWN_ENGINES, available_engines, installed_network, load_engine
from napari_volseg.interactive.seeds import prompt_voxels
from napari_volseg.interactive.simulate import next_click

__all__ = [
    "OWN_ENGINES",
    "Capabilities",
    "Extension",
    "InteractiveModel",
    "InteractiveSession",
    "available_engines",
    "extended",
    "installed_network",
    "load_engine",
    "next_click",
    "prompt_voxels",
]
