"""One structure segmented by a simulated user, and what is measured on the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Geometry, Prompt, Volume
from napari_volseg.interactive import InteractiveModel, next_click
from napari_volseg.interactive.seeds import seeds_of
from napari_volseg.measure import dice, normalized_surface_dice
from napari_volseg.training.click_users import User

#: A click that lowers the Dice coefficient by more than this did harm.
HARM = 0.02
#: Prompts after which the surfaces are compared, and up to which the area under the curve goes.
SURFACE_AT = 5
#: Dice coefficients (%) to which the clicks are counted.
GOALS = (80, 85, 90)
#: A segment with no more overlap than this has no surface worth comparing.
_NO_OVERLAP = 0.2


@dataclass(frozen=True)
class ClickRun:
    """What happened when one label was segmented.

    Parameters
    ----------
    value, name
        The label.
    voxels
        Size of the reference.
    dsc
        Dice coefficient after each prompt.
    seconds
        What the engine took for each prompt that was made; fewer than ``dsc`` where the result became perfect.
    honoured
        Share of results that obeyed every prompt so far.
    nsd
        Normalized surface Dice at 2 mm after :data:`SURFACE_AT` prompts; None where there were fewer.
    limit
        Most prompts that were allowed; the run may have ended before, once the highest goal was reached.
    """

    value: int
    name: str
    voxels: int
    dsc: tuple[float, ...]
    seconds: tuple[float, ...]
    honoured: float
    nsd: float | None = None
    limit: int = 10

    def after(self, count: int) -> float:
        """Return the Dice coefficient after ``count`` prompts; the last one where the run ended before."""
        return self.dsc[min(count, len(self.dsc)) - 1]

    @cached_property
    def auc(self) -> float | None:
        """Area under the curve of the first five prompts by the trapezoid, at most 4; None where there were fewer."""
        return float(np.trapezoid(self.dsc[:SURFACE_AT])) if len(self.dsc) >= SURFACE_AT else None

    def harmful(self, count: int) -> int:
        """Return how many of the first ``count`` prompts lowered the Dice coefficient by more than :data:`HARM`."""
        return int((np.diff(self.dsc[:count]) < -HARM).sum())

    def prompts_to(self, goal: float) -> int | None:
        """Return after how many prompts the Dice coefficient first was ``goal``, or None where it never was."""
        reached = np.flatnonzero(np.asarray(self.dsc) >= goal)
        return int(reached[0]) + 1 if reached.size else None

    def as_dict(self, count: int) -> dict[str, Any]:
        """Return plain values for JSON, of the first ``count`` prompts."""
        return {
            "name": self.name,
            "voxels": self.voxels,
            "dsc": by_click(self.dsc[:count]),
            "seconds": [round(s, 4) for s in self.seconds],
            "harmful": self.harmful(count),
            "honoured": self.honoured,
            "nsd": self.nsd,
            "auc": self.auc,
            "noc": {str(goal): self.prompts_to(goal / 100) for goal in GOALS},
        }


def run_clicks(
    model: InteractiveModel,
    volume: Volume,
    reference: NDArray[np.bool_],
    clicks: int,
    seed: int = 0,
    value: int = 1,
    name: str = "",
    user: User = next_click,
    limit: int | None = None,
) -> ClickRun:
    """Segment one structure with a simulated user.

    Parameters
    ----------
    model
        The engine.
    volume
        The image.
    reference
        Boolean (z, y, x), true where the structure is; not empty.
    clicks
        Prompts that are always made (or known to be needless, where the result is perfect).
    seed
        Of the simulated user.
    value, name
        The label, for the report.
    user
        Who makes the prompts.
    limit
        Go on up to so many prompts while the highest of :data:`GOALS` is not reached.
    """
    limit = max(clicks, limit or 0)
    random = np.random.default_rng(seed)
    session = model.open(volume)
    mask = np.zeros(reference.shape, bool)
    scores: list[float] = []
    seconds: list[float] = []
    honoured: list[bool] = []
    surface = None
    while len(scores) < clicks or (len(scores) < limit and max(scores) < GOALS[-1] / 100):
        prompt = user(mask, reference, volume.geometry, random)
        if prompt is not None:
            start = time.perf_counter()
            session.add(prompt)
            result = session.result()
            seconds.append(time.perf_counter() - start)
            mask = result.expand(reference.shape)
            honoured.append(obeys(mask, session.prompts, volume.geometry))
        scores.append(dice(mask, reference))
        if len(scores) == SURFACE_AT:
            surface = surface_score(mask, reference, volume.geometry, scores[-1])
    share = float(np.mean(honoured)) if honoured else 1.0
    return ClickRun(value, name, int(reference.sum()), tuple(scores), tuple(seconds), share, surface, limit)


def obeys(mask: NDArray[np.bool_], prompts: Sequence[Prompt], geometry: Geometry) -> bool:
    """Whether a mask (z, y, x) holds every voxel that the prompts put inside and none that they put outside."""
    seeds = seeds_of(prompts, geometry)
    return bool(mask[tuple(seeds.positive.T)].all() and not mask[tuple(seeds.negative.T)].any())


def surface_score(mask: NDArray[np.bool_], reference: NDArray[np.bool_], geometry: Geometry, overlap: float) -> float:
    """Return the normalized surface Dice at 2 mm of two masks (z, y, x), 0 where they hardly overlap."""
    if overlap <= _NO_OVERLAP:
        return 0.0
    return normalized_surface_dice(mask, reference, geometry)


def by_click(scores: Sequence[float]) -> dict[str, float]:
    """Return scores by the number of the prompt, for JSON."""
    return {str(click): round(float(score), 4) for click, score in enumerate(scores, 1)}
