"""Label maps as shape templates for synthetic volumes, and the command that collects them.

::

    python -m napari_volseg.training.synthetic_templates --labelmaps FOLDER --out templates.npz

Two families: whole heads (the label maps of SynthSeg, Apache-2.0; the last four by name are held out) and the
project's own procedural torsos. Only shapes are used; every intensity is drawn anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from torch import Tensor

    from napari_volseg.training.synthetic_fields import Dice

#: Seeds of the torsos; none of the sample data, the tests or the demonstration model.
TORSO_SEEDS = range(5000, 5016)
_TORSO_SPACING = (3.0, 2.5, 2.5)
#: Label maps that are never learned from.
HELD_OUT = 4
_HEAD_STEP = 1.5
#: Means (HU) up to which a tissue of a torso plays a role.
_ROLES = ((-940, "air"), (-600, "lung"), (-40, "fat"), (22, "fluid"), (68, "muscle"), (115, "soft"), (230, "vessel"))


@dataclass(frozen=True, eq=False)
class Template:
    """A label map.

    Parameters
    ----------
    labels
        (z, y, x), uint8.
    spacing
        (z, y, x), mm.
    roles
        Role of each id, see :mod:`napari_volseg.training.synthetic_intensities`.
    tissues
        Id whose intensity each id has (left and right structures share theirs), (256,).
    objects
        Object that each id belongs to, (256,).
    """

    labels: NDArray[np.uint8]
    spacing: tuple[float, float, float]
    roles: Mapping[int, str]
    tissues: NDArray[np.int64]
    objects: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Templates:
    """Several label maps of several families."""

    items: tuple[Template, ...]

    @classmethod
    def load(cls, path: Path) -> Templates:
        """Read what :func:`save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(tuple(_read(stored, index) for index in range(int(stored["count"]))))

    def save(self, path: Path) -> None:
        """Write all as one compressed ``.npz``."""
        arrays: dict[str, Any] = {"count": np.asarray(len(self.items))}
        for index, item in enumerate(self.items):
            arrays[f"labels{index}"] = item.labels
            arrays[f"spacing{index}"] = np.asarray(item.spacing)
            arrays[f"roles{index}"] = np.asarray([f"{k}:{v}" for k, v in item.roles.items()])
            arrays[f"tissues{index}"] = item.tissues
            arrays[f"objects{index}"] = item.objects
        np.savez_compressed(path, **arrays)


def _read(stored: Mapping[str, NDArray[Any]], index: int) -> Template:
    pairs = (str(pair).split(":") for pair in stored[f"roles{index}"])
    z, y, x = stored[f"spacing{index}"].tolist()
    return Template(
        stored[f"labels{index}"],
        (z, y, x),
        {int(key): role for key, role in pairs},
        stored[f"tissues{index}"],
        stored[f"objects{index}"],
    )


def crops(dice: Dice, template: Template, on_device: Tensor, count: int, edge: int) -> Tensor:
    """Return bent, turned and scaled cut-outs (count, 1, e, e, e), int16, of a template's labels.

    Parameters
    ----------
    on_device
        The template's labels (1, 1, z, y, x) on the device, float16.
    """
    import torch
    from torch.nn import functional

    from napari_volseg.training.synthetic_fields import brought_up, rotations, turned, warped_grid

    grid = brought_up(warped_grid(dice, count, edge // 2, edge), edge)
    step = dice.log_uniform(0.9, 3.2, (count, 1))
    voxels = dice.on_device(template.labels.shape)
    middle = dice.uniform(-0.32, 0.32, (count, 3)) * voxels
    places = turned(grid, rotations(dice, count), torch.zeros((count, 3), device=dice.device))
    spacing = dice.on_device(template.spacing).view(1, 3, 1, 1, 1)
    places = places * step[..., None, None, None] / spacing + middle[..., None, None, None]
    normal = (2 * places / voxels.view(1, 3, 1, 1, 1)).permute(0, 2, 3, 4, 1).flip(-1)
    source = on_device.expand(count, -1, -1, -1, -1)
    found = functional.grid_sample(source, normal.to(source.dtype), mode="nearest", align_corners=False)
    return found.round().to(torch.int16)


def heads(folder: Path) -> list[Template]:
    """Return the label maps of whole heads below ``folder`` but the held-out ones."""
    import nibabel

    tables = folder / "labels_classes_priors"
    known = np.load(tables / "generation_labels.npy", allow_pickle=False)
    classes = np.load(tables / "generation_classes.npy", allow_pickle=False)
    files = sorted((folder / "training_label_maps").glob("*.nii.gz"))[:-HELD_OUT]
    made = []
    for file in files:
        image: Any = nibabel.load(file)
        labels = np.asarray(image.dataobj).astype(int)
        index = np.searchsorted(np.sort(known), labels)
        order = np.argsort(known)
        ids = order[np.clip(index, 0, len(order) - 1)]
        made.append(_head(ids, known, classes))
    return made


def _head(ids: NDArray[np.int64], known: NDArray[np.int64], classes: NDArray[np.int64]) -> Template:
    zero = int(np.flatnonzero(known == 0)[0])
    shifted = np.where(ids == zero, 0, ids + 1).astype(np.uint8)
    thin = ndimage.zoom(shifted, 1 / _HEAD_STEP, order=0)
    box = ndimage.find_objects((thin > 0).astype(int))[0]
    tissues = np.arange(256)
    for index, kind in enumerate(classes):
        tissues[index + 1] = int(np.flatnonzero(classes == kind)[0]) + 1
    roles = {
        int(i): "fluid" if int(known[i - 1]) in (4, 5, 14, 15, 24, 43, 44) else "soft"
        for i in range(1, len(known) + 1)
    }
    return Template(thin[box], (_HEAD_STEP,) * 3, {0: "air", **roles}, tissues, np.arange(256))


def torsos(seeds: Sequence[int] = TORSO_SEEDS) -> list[Template]:
    """Return tissue maps of procedural torsos."""
    return [_torso(seed) for seed in seeds]


def _torso(seed: int) -> Template:
    from napari_volseg.training.phantoms import TORSO_EXTENT, torso_tissues

    tissue, values, labels = torso_tissues(seed, _TORSO_SPACING, TORSO_EXTENT)
    roles = {i: next((role for top, role in _ROLES if v < top), "bone") for i, v in enumerate(values)}
    objects = np.arange(256)
    for number, label in enumerate(labels):
        objects[number] = label if label else number + 100
    objects[0] = 0
    return Template(tissue, _TORSO_SPACING, roles, np.arange(256), objects)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labelmaps", type=Path, default=None, help="folder 'data' of SynthSeg's label maps")
    parser.add_argument("--out", type=Path, required=True, help="file to write (.npz)")
    options = parser.parse_args(arguments)
    found = torsos() + (heads(options.labelmaps) if options.labelmaps else [])
    Templates(tuple(found)).save(options.out)
    print(f"{len(found)} label maps, {options.out.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
