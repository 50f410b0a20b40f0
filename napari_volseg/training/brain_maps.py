"""Label maps of whole heads, from which images of any contrast are made, and the command that collects them.

::

    python -m napari_volseg.training.brain_maps --labelmaps FOLDER --out heads.npz

FOLDER is ``data`` of SynthSeg's label maps (Apache-2.0). The last four by name are held out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import ANATOMICAL_STRUCTURE, Code, Segment

#: Edge of a voxel of the collected maps, mm.
SPACING = 1.5
#: Label maps that are never learned from.
HELD_OUT = 4
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Structure:
    """A structure that the model finds: its SNOMED CT concept and FreeSurfer's numbers of its parts, both sides."""

    name: str
    code: str
    color: tuple[int, int, int]
    parts: tuple[int, ...]

    def segment(self, value: int) -> Segment:
        """Return the segment of a value."""
        kind = Code(self.code, "SCT", self.name)
        return Segment(
            value, self.name, self.color, ANATOMICAL_STRUCTURE, kind, "AUTOMATIC", "brain-structures", "done"
        )


#: In the order of their values, from 1 on; colours as FreeSurfer users know them.
STRUCTURES = (
    Structure("Cerebral white matter", "68523003", (225, 225, 225), (2, 41, 25, 57)),
    Structure("Cerebral cortex", "40146001", (205, 62, 78), (3, 42)),
    Structure("Brain ventricle", "35764002", (120, 18, 134), (4, 5, 14, 15, 43, 44, 136, 137, 163, 164)),
    Structure("Thalamus", "42695009", (0, 118, 14), (10, 49)),
    Structure("Caudate nucleus", "11000004", (122, 186, 220), (11, 50)),
    Structure("Putamen", "89278009", (236, 13, 176), (12, 51)),
    Structure("Globus pallidus", "14738005", (12, 48, 255), (13, 52)),
    Structure("Hippocampus", "5366008", (220, 216, 20), (17, 53)),
    Structure("Brain stem", "119238007", (119, 159, 176), (16, 28, 60)),
    Structure("Cerebellum", "113305005", (230, 148, 34), (7, 8, 46, 47)),
)
_FLUIDS = (4, 5, 14, 15, 24, 43, 44)
_CORTICAL = (3, 42, 8, 47, 10, 49, 11, 12, 13, 26, 50, 51, 52, 58, 17, 53, 18, 54)
_WHITE = (2, 41, 7, 46, 16, 28, 60)


@dataclass(frozen=True, eq=False)
class HeadMaps:
    """Label maps on one grid shape, axes (z, y, x) towards the patient's top, back and left.

    Parameters
    ----------
    labels
        (n, z, y, x), uint8: index into the tables; 0 is the air around.
    tissues
        Whose intensity each index has: left and right share theirs (k,).
    families
        0 others, 1 fluid, 2 grey matter, 3 white matter, of each index (k,).
    targets
        The structure's value of each index (k,), 0 for what the model does not find.
    """

    labels: NDArray[np.uint8]
    tissues: NDArray[np.int64]
    families: NDArray[np.int64]
    targets: NDArray[np.int64]

    @classmethod
    def load(cls, path: Path) -> HeadMaps:
        """Read what :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(*(stored[name] for name in ("labels", "tissues", "families", "targets")))

    def save(self, path: Path) -> None:
        """Write all as one compressed ``.npz``."""
        np.savez_compressed(
            path, labels=self.labels, tissues=self.tissues, families=self.families, targets=self.targets
        )

    def part(self, held_out: bool) -> HeadMaps:
        """Return the maps to learn from, or those held out."""
        chosen = self.labels[-HELD_OUT:] if held_out else self.labels[:-HELD_OUT]
        return HeadMaps(chosen, self.tissues, self.families, self.targets)


def collected(folder: Path) -> HeadMaps:
    """Return the label maps below ``folder``, held-out ones last."""
    import nibabel

    tables = folder / "labels_classes_priors"
    known = np.load(tables / "generation_labels.npy", allow_pickle=False).astype(int)
    classes = np.load(tables / "generation_classes.npy", allow_pickle=False).astype(int)
    files = sorted((folder / "training_label_maps").glob("*.nii.gz"))
    maps = [_thinned(nibabel.as_closest_canonical(nibabel.load(file)), known) for file in files]
    shape = np.max([m.shape for m in maps], axis=0)
    labels = np.stack([_padded(m, shape) for m in maps])
    targets = [next((v for v, s in enumerate(STRUCTURES, 1) if n in s.parts), 0) for n in known]
    families = [1 if n in _FLUIDS else 2 if n in _CORTICAL else 3 if n in _WHITE else 0 for n in known]
    return HeadMaps(labels, classes, np.asarray(families), np.asarray(targets))


def _thinned(image: Any, known: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a map of indices on the coarser grid, cut to the head; ``image`` has axes right, front, top."""
    numbers = np.asarray(image.dataobj).astype(int).T[:, ::-1, ::-1]
    order = np.argsort(known)
    index = order[np.searchsorted(known[order], numbers)].astype(np.uint8)
    step = SPACING / np.asarray(image.header.get_zooms()[:3])[::-1]
    thin = ndimage.zoom(index, 1 / step, order=0, mode="nearest", grid_mode=True)
    return np.asarray(thin[ndimage.find_objects((thin > 0).astype(int))[0]])


def _padded(labels: NDArray[np.uint8], shape: NDArray[np.int64]) -> NDArray[np.uint8]:
    free = shape - labels.shape
    return np.pad(labels, [(f // 2 + _MARGIN, f - f // 2 + _MARGIN) for f in free])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labelmaps", type=Path, required=True, help="folder 'data' of SynthSeg's label maps")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.npz)")
    options = parser.parse_args(arguments)
    maps = collected(options.labelmaps)
    maps.save(options.out)
    print(f"{len(maps.labels)} label maps of {maps.labels.shape[1:]}, {options.out.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
