"""Synthetic volumes with labels, made on a device as fast as a network can learn from them.

Imported only where PyTorch is wanted. Every volume is a function of seed and step (and of the kind of device).
Shapes are procedural, or those of label maps where such are given; see
:mod:`napari_volseg.training.synthetic_labels`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_volseg.training.synthetic_degradation import degraded
from napari_volseg.training.synthetic_fields import Dice
from napari_volseg.training.synthetic_intensities import painted, tissue_means, uneven
from napari_volseg.training.synthetic_labels import TISSUES, scene
from napari_volseg.training.synthetic_templates import Templates, crops

#: Share of batches whose shapes come from templates, where there are any.
_TEMPLATES = 0.4


class SyntheticVolumes:
    """A source of labelled volumes.

    Parameters
    ----------
    device
        ``"cuda"``, ``"cpu"``.
    seed
        Of all volumes.
    templates
        Label maps whose shapes are used too; None for procedural shapes alone.
    """

    def __init__(self, device: str, seed: int, templates: Templates | None = None) -> None:
        self.device, self.seed, self.templates = device, seed, templates
        kind = torch.float16 if device == "cuda" else torch.float32
        items = templates.items if templates else ()
        self._maps = [torch.as_tensor(t.labels)[None, None].to(device, kind) for t in items]

    def draw(self, count: int, edge: int, step: int) -> tuple[Tensor, Tensor]:
        """Return images and labels of ``count`` new volumes.

        Returns
        -------
        images
            (count, 1, edge, edge, edge), float32; those like CT are in HU, others in units of their own.
        labels
            The same shape, int16; 0 is air, other ids name objects.
        """
        dice = Dice.of(self.seed, step, self.device)
        if self._maps and dice.chance(_TEMPLATES):
            tissue, labels, roles, shared = self._from_template(dice, count, edge)
        else:
            made = scene(dice, count, edge)
            tissue, labels, roles, shared = made.tissue, made.object, made.roles, np.arange(TISSUES)
        means, spread, is_ct = tissue_means(dice, count, roles, TISSUES)
        like_ct = dice.on_device(is_ct) > 0
        image = painted(dice, tissue, dice.on_device(means[:, shared]), dice.on_device(spread[:, shared]))
        return degraded(dice, uneven(dice, image, like_ct), like_ct), labels

    def _from_template(
        self, dice: Dice, count: int, edge: int
    ) -> tuple[Tensor, Tensor, dict[int, str], np.typing.NDArray[np.int64]]:
        """Return tissues and objects (count, 1, e, e, e), roles, and whose intensity each tissue has."""
        assert self.templates is not None
        index = int(dice.host.integers(len(self._maps)))
        template = self.templates.items[index]
        tissue = crops(dice, template, self._maps[index], count, edge)
        objects = dice.on_device(template.objects).short()[tissue.long()]
        return tissue, objects, dict(template.roles), template.tissues
