"""Synthetic data, trainers and evaluation harnesses; never imported by the app."""

from napari_volseg.training.phantoms import (
    HEAD_SEQUENCES,
    HEAD_TABLE,
    LESIONS,
    ORGANS,
    TORSO_TABLE,
    PhantomCase,
    head,
    torso,
)

__all__ = ["HEAD_SEQUENCES", "HEAD_TABLE", "LESIONS", "ORGANS", "TORSO_TABLE", "PhantomCase", "head", "torso"]
