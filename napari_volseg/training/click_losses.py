"""What the click network is asked to get right.

Imported only where PyTorch is wanted.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

#: Weight of voxels near prompts, and of those that were right before the newest one.
_NEAR = 2.0
_RIGHT = 1.0
_EDGES = 0.3
_QUALITY = 0.1
#: Channels of the network's input that hold the cues and the previous mask.
_CUES = slice(3, 5)
_PREVIOUS = slice(7, 8)


def click_loss(
    logits: Tensor, quality: Tensor, seen: Tensor, mask: Tensor, edges: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean loss over the samples and the Dice coefficient (B,) of each.

    Parameters
    ----------
    logits, quality
        (B, 2, D, H, W) and (B,) of the network.
    seen
        Its input (B, 8, D, H, W).
    mask, edges
        (B, 1, D, H, W), bool: the structure, and the borders of all labels.
    valid
        (B,): whether a sample counts.
    """
    logits, wanted = logits.float(), mask.float()
    inside, border = logits[:, :1], logits[:, 1:]
    previous = seen[:, _PREVIOUS].float()
    right = ((previous > 0.5) == mask) & (previous.amax((1, 2, 3, 4), keepdim=True) > 0.5)
    weights = 1 + _NEAR * (seen[:, _CUES].float().amax(1, keepdim=True) > 0) + _RIGHT * right
    axes = (1, 2, 3, 4)
    entropy = functional.binary_cross_entropy_with_logits(inside, wanted, reduction="none")
    entropy = (weights * entropy).sum(axes) / weights.sum(axes)
    share = inside.sigmoid()
    overlap = 1 - (2 * (share * wanted).sum(axes) + 10) / (share.sum(axes) + wanted.sum(axes) + 10)
    outline = functional.binary_cross_entropy_with_logits(border, edges.float(), reduction="none").mean(axes)
    found = (inside > 0).float()
    common, both = (found * wanted).sum(axes), found.sum(axes) + wanted.sum(axes)
    union = (both - common).clamp_min(1)
    judged = functional.binary_cross_entropy_with_logits(quality.float(), (common / union).detach(), reduction="none")
    each = entropy + overlap + _EDGES * outline + _QUALITY * judged
    counted = valid.float()
    return (each * counted).sum() / counted.sum().clamp_min(1), (2 * common / both.clamp_min(1)).detach()
