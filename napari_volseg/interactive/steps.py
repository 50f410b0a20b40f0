"""The two moves of the engine ``regions``: a first guess from a click, and a correction by the next prompt."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_volseg.core import CancelToken
from napari_volseg.interactive.appearance import WINDOW_MM, Look, even_radius, features
from napari_volseg.interactive.cleanup import connected_to
from napari_volseg.interactive.cut import edge_weights, relaxed_cut
from napari_volseg.interactive.forest import Samples, membership
from napari_volseg.interactive.neighbours import BoolArray, FloatArray
from napari_volseg.interactive.seeds import IndexArray
from napari_volseg.interactive.views import View
from napari_volseg.interactive.walker import conductances, walk

_HARD = np.float32(1e3)
#: Radius around a click that surely shares its side, in blocks.
_SEED_BLOCKS = 1.5
_SAMPLE_BLOCKS = 2.0
#: Distance within which a negative prompt speaks for voxels that look like it, mm.
_NEGATIVE_SPREAD_MM = 20.0
#: Weight of the surface in a first guess.
_GUESS_STIFFNESS = 1.5
#: The same in a correction.
_STIFFNESS = 0.8
#: Log-odds of what lies around a click, enough to survive a cut.
_SEED_ODDS = np.float32(8)
#: The classifier learns the outside from surroundings up to this distance (mm) that are not in doubt.
_SURROUNDINGS_MM = 20.0
_NO_DOUBT = 0.5
#: How much surroundings and the border of the region count in all, in positive prompts.
_SURROUNDINGS_WEIGHT = 0.5
_BORDER_WEIGHT = 0.3
#: Surroundings of a segment lie between these distances from it, in blocks.
_GAP_BLOCKS = 1.5
_SHELL_BLOCKS = 4.0
#: A belief about a voxel reaches this far against the image's evidence, mm.
_BELIEF_MM = 30.0
#: The newest prompt suspends what was believed within so many times the depth to which it contradicts it.
_DOUBT_DEPTHS = 2.5
#: Log-odds between the extremes of the random walk and of the classifier.
_WALK_ODDS = np.float32(6)
_LOOK_ODDS = np.float32(4)
#: A newest prompt no deeper than this, in blocks, finds fault with the outline alone: all prompts decide it anew.
_OUTLINE_BLOCKS = 2.1
#: Log-odds between the extremes of the belief, which fades within so many blocks of the surface, and of the walk and
#: the classifier then: neither of the two overrules a firm belief alone, both together do.
_FIRM_ODDS = np.float32(6)
_FADE_BLOCKS = 2.0
_WITNESS_ODDS = np.float32(4)
#: From this prompt on a positive prompt only adds and a negative one only removes.
MONOTONE_FROM = 3
#: A positive prompt never removes more than this share.
_LARGEST_LOSS = 0.3
#: An error is no deeper than so many times the depth of its deepest point from where it begins.
_ERROR_DEPTHS = 2.0
#: The largest change from one prompt, in balls of the radius to which it contradicts what is there.
_MOST_BALLS = 25.0


def first_guess(view: View, spread: float, cancel: CancelToken | None = None) -> BoolArray:
    """Return the blocks (z, y, x) that look like the surroundings of the positive prompts and hang together.

    ``spread`` (mm) is the distance at which the likeness counts for less by one unit of log-odds.
    """
    distance = view.distance_to(view.positive)
    look = _look(view, distance)
    inside = _guess_by(view, look, distance, spread, cancel)
    gap = ndimage.distance_transform_edt(~inside, sampling=view.grid.spacing)
    around = view.fine[(gap > _GAP_BLOCKS * view.unit) & (gap <= _SHELL_BLOCKS * view.unit)]
    return _guess_by(view, look.against(around), distance, spread, cancel)


def fallback_guess(view: View, cancel: CancelToken | None = None) -> BoolArray:
    """Return a guess for where a cut collapsed: a random walk between the click's even surroundings and far away."""
    distance = view.distance_to(view.positive)
    even = even_radius(view.smooth, distance, view.unit)
    positive = distance <= 0.7 * even
    negative = (distance >= 3 * even) | ~view.honoured(np.ones(view.grid.shape, bool))
    nothing = np.zeros(view.grid.shape, np.float32)
    edges = conductances(view.fine, view.grid.spacing, 1.0)
    chance = walk(edges, positive, negative & ~positive, nothing, nothing + np.float32(1e-4), cancel=cancel)
    return connected_to(view.honoured(chance > 0.5), view.positive)


def is_collapsed(view: View, inside: BoolArray) -> bool:
    """Whether a guess is hardly more than the click itself, or floods the region."""
    blocks = 2 * 4 / 3 * np.pi * _SEED_BLOCKS**3
    return bool(inside.sum() < blocks or inside.mean() > 0.6)


def crispness(view: View, inside: BoolArray) -> float:
    """Return how much of a mask's surface runs along edges of the image, 0 to 1."""
    weights = edge_weights(view.fine, (1.0, 1.0, 1.0), 3.0)
    flat = area = 0.0
    for axis, weight in enumerate(weights):
        crossed = np.diff(inside.view(np.int8), axis=axis) != 0
        flat += float(weight[crossed].sum()) / view.grid.spacing[axis]
        area += int(crossed.sum()) / view.grid.spacing[axis]
    return 1 - flat / area if area else 0.0


def corrected(
    view: View, believed: BoolArray, count: int, local: bool = False, cancel: CancelToken | None = None
) -> BoolArray:
    """Return the blocks (z, y, x) inside after the newest prompt.

    Parameters
    ----------
    view
        Image and prompts.
    believed
        Blocks inside before the newest prompt.
    count
        Number of prompts so far.
    local
        Whether only what hangs together with the newest prompt may change.
    cancel
        Looked at between iterations.
    """
    if count >= MONOTONE_FROM and not local and _is_outline(view, believed):
        return _outlined(view, believed, cancel)
    positive, negative = _seed_regions(view, believed)
    edges = conductances(view.fine, view.grid.spacing, 1.0)
    belief = believed.astype(np.float32)
    doubt = _doubt(view, believed)
    contradicted = believed ^ view.clues.newest_positive
    pull = (1 - doubt * contradicted) * np.float32((view.unit / _BELIEF_MM) ** 2)
    chance = walk(edges, positive, negative, belief, pull, cancel=cancel)
    look = _learned(view, positive, negative, believed, doubt, cancel)
    odds = _WALK_ODDS * (chance - np.float32(0.5)) + _LOOK_ODDS * doubt * (look - np.float32(0.5))
    odds[positive], odds[negative] = _SEED_ODDS, -_SEED_ODDS
    proposal = _cut(view, odds, _STIFFNESS, cancel)
    if not local:
        proposal = connected_to(proposal, view.positive)
    return bounded(view, believed, proposal, count, local)


def _is_outline(view: View, believed: BoolArray) -> bool:
    """Whether the newest prompt finds fault with the outline alone: nothing is wrong deeper than where it lies."""
    return _contradiction(view, believed) <= _OUTLINE_BLOCKS * view.unit


def _outlined(view: View, believed: BoolArray, cancel: CancelToken | None) -> BoolArray:
    """Return the blocks (z, y, x) inside, with the outline drawn anew by all prompts instead of the newest alone."""
    positive, negative = _seed_regions(view, believed)
    nothing = np.zeros(view.grid.shape, np.float32)
    outside = negative | view.open_border() & ~positive
    edges = conductances(view.fine, view.grid.spacing, 1.0)
    chance = walk(edges, positive, outside, nothing + np.float32(0.5), nothing + np.float32(1e-4), cancel=cancel)
    look = _learned(view, positive, negative, believed, nothing, cancel)
    belief = np.tanh(_height(view, believed) / np.float32(_FADE_BLOCKS * view.unit))
    odds = _WITNESS_ODDS * (chance + look - 1) + _FIRM_ODDS / 2 * belief
    odds[positive], odds[negative] = _SEED_ODDS, -_SEED_ODDS
    drawn = connected_to(_cut(view, odds, _STIFFNESS, cancel), view.positive)
    contradicted = believed ^ view.clues.newest_positive
    change = (drawn ^ believed) & contradicted & _within_error(view, believed)
    return view.honoured(believed ^ change)


def _height(view: View, inside: BoolArray) -> FloatArray:
    """Return the distance (z, y, x) from the surface of a mask, mm: positive inside, negative outside."""
    within, beyond = (ndimage.distance_transform_edt(m, sampling=view.grid.spacing) for m in (inside, ~inside))
    return np.asarray(within - beyond, np.float32)


def _look(view: View, distance: FloatArray) -> Look:
    """Return the look of the even surroundings of what ``distance`` (z, y, x), mm, is measured from."""
    return Look.of(view.fine[distance <= max(WINDOW_MM, even_radius(view.smooth, distance, view.unit))])


def _guess_by(view: View, look: Look, distance: FloatArray, spread: float, cancel: CancelToken | None) -> BoolArray:
    odds = look.odds(view.fine, distance, spread)
    if len(view.negative):
        away = view.distance_to(view.negative)
        odds -= np.maximum(_look(view, away).odds(view.fine, away, _NEGATIVE_SPREAD_MM), 0)
    return connected_to(_cut(view, odds, _GUESS_STIFFNESS, cancel), view.positive)


def _cut(view: View, odds: FloatArray, stiffness: float, cancel: CancelToken | None) -> BoolArray:
    odds = odds.copy()
    odds[tuple(view.negative.T)] = -_HARD
    odds[tuple(view.positive.T)] = _HARD
    weights = [np.float32(stiffness) * w for w in edge_weights(view.smooth, view.grid.spacing, 2.0)]
    inside = relaxed_cut(odds, weights, cancel=cancel) > 0.5
    return view.honoured(inside)


def _seed_regions(view: View, believed: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Return blocks surely inside and surely outside; a positive click speaks for half of the depth it lies in."""
    near_positive, near_negative = view.distance_to(view.positive), view.distance_to(view.negative)
    ball = _SEED_BLOCKS * view.unit
    renewed = view.distance_to(view.newest) <= min(ball, _contradiction(view, believed))
    positive = (near_positive <= ball) & (near_negative > ball) & (believed | renewed)
    negative = (near_negative <= ball) & (near_positive > ball) & (~believed | renewed)
    depth = sum(ndimage.distance_transform_edt(side, sampling=view.grid.spacing) for side in (believed, ~believed))
    for click in view.grid.blocks_of(view.clues.points):
        distance = view.distance_to(click[None])
        even = even_radius(view.smooth, distance, view.unit)
        reach = 0.5 * min(even, float(depth[tuple(click)]), float(near_negative[tuple(click)]))
        positive |= distance <= reach
    positive = view.honoured(positive)
    negative[tuple(view.negative.T)] = True
    return positive, negative & ~positive


def _doubt(view: View, believed: BoolArray) -> FloatArray:
    """Return how far (z, y, x), 0 to 1, the newest prompt puts what was believed in question."""
    reach = max(_DOUBT_DEPTHS * _contradiction(view, believed), _SAMPLE_BLOCKS * view.unit)
    return np.exp(-0.5 * np.square(view.distance_to(view.newest) / reach)).astype(np.float32)


def _contradiction(view: View, believed: BoolArray) -> float:
    """Return how deep (mm) the newest prompt lies in what it contradicts: no error around it can be wider."""
    wrong = ~believed if view.clues.newest_positive else believed
    depth = ndimage.distance_transform_edt(wrong, sampling=view.grid.spacing)
    return float(depth[tuple(view.newest.T)].max(initial=0))


def _within_error(view: View, believed: BoolArray) -> BoolArray:
    """Return where (z, y, x) an error may lie whose deepest point is the newest prompt.

    An error that begins at the surface of the segment has its deepest point halfway, so that it ends at twice that
    depth.
    """
    wrong = ~believed if view.clues.newest_positive else believed
    depth = ndimage.distance_transform_edt(wrong, sampling=view.grid.spacing)
    return np.asarray(depth <= _ERROR_DEPTHS * depth[tuple(view.newest.T)].max(initial=0))


def _learned(
    view: View,
    positive: BoolArray,
    negative: BoolArray,
    believed: BoolArray,
    doubt: FloatArray,
    cancel: CancelToken | None,
) -> FloatArray:
    """Return the classifier's probability (z, y, x) of being inside, one half where it has nothing to learn from."""
    ball = _SAMPLE_BLOCKS * view.unit
    inside = (positive | (view.distance_to(view.positive) <= ball)) & ~negative
    outside = (negative | (view.distance_to(view.negative) <= ball)) & ~positive
    border, around = (part & ~inside & ~outside for part in _outskirts(view, believed, doubt))
    random = np.random.default_rng(0)
    clues = view.clues
    groups = [
        _drawn(inside, True, clues.positives, 300, random),
        _drawn(outside, False, max(1, clues.negatives), 300, random),
        _drawn(around, False, _SURROUNDINGS_WEIGHT * clues.positives, 300, random),
        _drawn(border, False, _BORDER_WEIGHT * clues.positives, 150, random),
    ]
    samples = _balanced(groups)
    if not samples.inside.any() or samples.inside.all():
        return np.full(view.grid.shape, 0.5, np.float32)
    seen = features(view.image, view.grid.spacing)
    return membership(seen, samples, cancel=cancel).reshape(view.grid.shape)


def _outskirts(view: View, believed: BoolArray, doubt: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return what is outside (z, y, x) unless all is wrong: the open border, and surroundings that no one doubts."""
    gap = ndimage.distance_transform_edt(~believed, sampling=view.grid.spacing)
    around = (gap > _GAP_BLOCKS * view.unit) & (gap <= _SURROUNDINGS_MM) & (doubt < _NO_DOUBT)
    return view.open_border() & ~believed, around


def _drawn(mask: BoolArray, inside: bool, weight: float, most: int, random: np.random.Generator) -> Samples:
    where: IndexArray = np.flatnonzero(mask)
    if where.size > most:
        where = random.choice(where, most, replace=False)
    return Samples(where, np.full(where.size, inside), np.full(where.size, weight / max(1, where.size)))


def _balanced(groups: list[Samples]) -> Samples:
    """Return all samples together, with equal weight on both sides and a mean weight of one."""
    where, inside, weight = (np.concatenate([getattr(g, name) for g in groups]) for name in Samples.__slots__)
    for side in (inside, ~inside):
        weight[side] *= 0.5 * weight.size / max(float(weight[side].sum()), 1e-9)
    return Samples(where, inside, weight)


def bounded(view: View, believed: BoolArray, proposal: BoolArray, count: int, local: bool = False) -> BoolArray:
    """Return the proposal without changes that the newest prompt did not ask for."""
    adding = view.clues.newest_positive
    lost = int((believed & ~proposal).sum())
    change = view.honoured(proposal) ^ believed
    if count >= MONOTONE_FROM or local:
        change &= ~believed if adding else believed
        change = connected_to(change & _within_error(view, believed), view.newest)
        change = _nearest(view, change, _most_change(view, believed))
    elif not adding:
        change &= ~believed | _within_error(view, believed)
    elif lost > _LARGEST_LOSS * believed.sum():
        change &= ~believed
    return view.honoured(believed ^ change)


def _most_change(view: View, believed: BoolArray) -> int:
    """Return how many blocks the newest prompt may change."""
    radius = max(_contradiction(view, believed) / view.unit, 1.0)
    return int(_MOST_BALLS * 4 / 3 * np.pi * radius**3)


def _nearest(view: View, change: BoolArray, most: int) -> BoolArray:
    """Return ``change`` (z, y, x), or of a larger one those ``most`` blocks that lie nearest to the newest prompt."""
    if int(change.sum()) <= most:
        return change
    distance = view.distance_to(view.newest)
    return change & (distance <= np.partition(distance[change], most)[most])
