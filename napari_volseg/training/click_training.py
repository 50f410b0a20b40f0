"""Learning to answer clicks: samples on the way from their first prompt to their last, and the network.

Imported only where PyTorch is wanted. A sample lives for a few steps. In each the network sees its prompts and the
mask of the step before, learns from the structure that was meant, and the simulated user clicks into what was
wrong; then the next click is learned from. Thus no forward pass is made only to simulate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from napari_volseg.interactive.click_network import ClickNetwork, build_click_network
from napari_volseg.interactive.encoding import encode
from napari_volseg.training.click_losses import click_loss
from napari_volseg.training.click_simulation import Hints, first_hints, next_clicks, no_hints
from napari_volseg.training.click_targets import Pool, Targets

#: Ages (number of corrections seen) for which overlaps are reported.
AGES = 8


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what is learned, but the data.

    Parameters
    ----------
    size
        Of the network, see :data:`napari_volseg.interactive.click_network.SIZES`.
    rate
        Highest learning rate, after ``warm_up`` steps; it falls with the cosine of the elapsed time.
    decay
        Weight decay.
    memory
        Share of the past in the running mean of the weights that is shipped.
    groups
        A batch consists of so many groups of samples, one of which is replaced in each step.
    fresh, every
        So many new volumes come into the pool every so many steps.
    """

    size: str = "s24"
    rate: float = 1.5e-3
    warm_up: int = 200
    decay: float = 1e-3
    memory: float = 0.999
    groups: int = 4
    fresh: int = 16
    every: int = 4


@dataclass(slots=True, eq=False)
class Desk:
    """The samples at work: a batch in groups of different age.

    Parameters
    ----------
    pool
        Where targets come from.
    edge, batch, groups
        Edge of the crops, samples, groups of them.
    seed
        Of all chance.
    """

    pool: Pool
    edge: int
    batch: int
    groups: int
    seed: int
    targets: Targets = field(init=False)
    hints: Hints = field(init=False)
    ages: list[int] = field(init=False)

    def __post_init__(self) -> None:
        device, shape = self.pool.device, (self.batch, 1, self.edge, self.edge, self.edge)
        mask, edges = (torch.zeros(shape, dtype=torch.bool, device=device) for _ in range(2))
        valid = torch.zeros(self.batch, dtype=torch.bool, device=device)
        self.targets = Targets(torch.zeros(shape, device=device), mask, edges, valid)
        self.hints = no_hints(self.batch, self.edge, device)
        self.ages = [0] * self.groups
        for group in range(self.groups):
            self.replace(group, self._generator(group, -1))

    def oldest(self) -> int:
        """Return the group that has seen most clicks."""
        return self.ages.index(max(self.ages))

    def replace(self, group: int, generator: torch.Generator) -> None:
        """Put new samples in the place of a group."""
        count = self.batch // self.groups
        rows = slice(group * count, (group + 1) * count)
        fresh = self.pool.draw(count, self.edge, generator)
        for name in ("image", "mask", "edges", "valid"):
            getattr(self.targets, name)[rows] = getattr(fresh, name)
        self.hints.put(rows, first_hints(fresh.mask, generator))
        self.ages[group] = 0

    def answer(self, probability: Tensor, step: int) -> None:
        """Let the users see the new masks (B, 1, e, e, e) and click; replace the oldest group."""
        generator = self._generator(step, 0)
        self.hints.previous.copy_(probability)
        self.hints.add(*next_clicks(probability > 0.5, self.targets.mask, generator))
        self.ages = [age + 1 for age in self.ages]
        self.replace(self.oldest(), generator)

    def input(self) -> Tensor:
        """Return what the network sees, (B, 8, e, e, e)."""
        hints = self.hints
        return encode(
            self.targets.image,
            hints.points,
            hints.signs,
            hints.inside.float(),
            hints.outside.float(),
            hints.previous.float(),
        )

    def _generator(self, step: int, stream: int) -> torch.Generator:
        generator = torch.Generator(self.pool.device)
        return generator.manual_seed((self.seed * 1_000_003 + step * 7919 + stream * 104_729) % 2**63)


@dataclass(slots=True)
class Training:
    """A network on its way: weights, their running mean, optimizer, steps and samples.

    Parameters
    ----------
    recipe
        What is trained.
    device
        Where.
    compiled
        Whether forward pass and loss are compiled (CUDA).
    """

    recipe: Recipe
    device: str
    compiled: bool = False
    network: ClickNetwork = field(init=False)
    mean: list[Tensor] = field(init=False)
    optimizer: torch.optim.AdamW = field(init=False)
    forward: Callable[..., Any] = field(init=False)
    steps: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.network = build_click_network(self.recipe.size).to(self.device)
        on_gpu = self.device == "cuda"
        if on_gpu:
            for parameter in self.network.parameters():
                if parameter.ndim == 5:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        parameters = list(self.network.parameters())
        self.mean = [p.detach().clone() for p in parameters]
        self.optimizer = torch.optim.AdamW(parameters, self.recipe.rate, weight_decay=self.recipe.decay, fused=on_gpu)
        self.forward = torch.compile(self._losses, dynamic=False) if self.compiled else self._losses

    def step(self, desk: Desk, share: float) -> Tensor:
        """Learn from the desk's samples when ``share`` (0 to 1) of the time is over; return their overlaps (B,)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(share)
        seen = desk.input()
        if self.device == "cuda":
            seen = seen.contiguous(memory_format=torch.channels_last_3d)
        targets = desk.targets
        loss, overlaps, probability = self.forward(seen, targets.mask, targets.edges, targets.valid)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0, foreach=True)
        self._skip_where(~norm.isfinite())
        self.optimizer.step()
        self.steps += 1
        self.samples += desk.batch
        self._update_mean()
        desk.answer(probability, self.steps)
        return torch.cat([overlaps, loss.detach().view(1)])

    def averaged(self) -> ClickNetwork:
        """Return a network of the running mean of the weights."""
        network = build_click_network(self.recipe.size).to(self.device)
        with torch.no_grad():
            for parameter, value in zip(network.parameters(), self.mean, strict=True):
                parameter.copy_(value)
        return network.eval()

    def _losses(self, seen: Tensor, mask: Tensor, edges: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            logits, quality = self.network(seen)
        loss, overlaps = click_loss(logits, quality, seen, mask, edges, valid)
        return loss, overlaps, logits[:, :1].detach().float().sigmoid().half()

    def _skip_where(self, broken: Tensor) -> None:
        """Let the optimizer skip the step where the gradient is not finite, without waiting for the device."""
        if self.device == "cuda":
            setattr(self.optimizer, "found_inf", broken.float())  # noqa: B010 - read by the fused kernel

    def _rate(self, share: float) -> float:
        warm = min(1.0, (self.steps + 1) / self.recipe.warm_up)
        return self.recipe.rate * warm * (0.01 + 0.495 * (1 + math.cos(math.pi * min(1.0, share))))

    def _update_mean(self) -> None:
        keep = min(self.recipe.memory, self.steps / (self.steps + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, [p.detach() for p in self.network.parameters()], 1 - keep)


def validated(network: ClickNetwork, pool: Pool, edge: int, batch: int, rounds: int, prompts: int) -> list[float]:
    """Return the mean Dice coefficient after each prompt, over ``rounds`` batches of synthetic targets.

    The users begin in every way and miss as in training; the pool's volumes are new ones where its seed is another.
    """
    sums = torch.zeros(prompts, device=pool.device)
    total = torch.zeros((), device=pool.device)
    for index in range(rounds):
        generator = torch.Generator(pool.device).manual_seed(91_000_000 + index)
        targets = pool.draw(batch, edge, generator)
        scores = _answered(network, targets, prompts, generator)
        sums += (scores * targets.valid).sum(1)
        total += targets.valid.sum()
    return [round(v, 4) for v in (sums / total.clamp_min(1)).tolist()]


@torch.no_grad()
def _answered(network: ClickNetwork, targets: Targets, prompts: int, generator: torch.Generator) -> Tensor:
    """Return Dice coefficients (prompts, n) of one batch of targets."""
    hints = first_hints(targets.mask, generator)
    scores = []
    for _ in range(prompts):
        seen = encode(targets.image, hints.points, hints.signs, *_regions(hints))
        with torch.autocast(seen.device.type, torch.bfloat16, enabled=seen.is_cuda):
            logits, _ = network(seen)
        found = logits[:, :1].float() > 0
        both = found.flatten(1).sum(1) + targets.mask.flatten(1).sum(1)
        scores.append(2 * (found & targets.mask).flatten(1).sum(1) / both.clamp_min(1))
        hints.previous.copy_(logits[:, :1].float().sigmoid())
        hints.add(*next_clicks(found, targets.mask, generator))
    return torch.stack(scores)


def _regions(hints: Hints) -> Sequence[Tensor]:
    return hints.inside.float(), hints.outside.float(), hints.previous.float()
