"""napari-volseg: open, segment, correct and export 3D medical images."""

__version__ = "0.1.0"
