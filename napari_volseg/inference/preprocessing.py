"""An image on the network's grid and scale, computed as nnU-Net v2 computes it.

The order is nnU-Net's: crop to the non-zero region, scale intensities, resample. Spline resampling is separable, so
each axis is one small matrix and the image passes plane by plane: besides the source, memory holds what the result
needs and not several float64 copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Box, CancelToken, RefusedError
from napari_volseg.inference.plans import Normalization, Plan, Resampling

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """What a network is given.

    Parameters
    ----------
    voxels
        (c, z, y, x): channels in the network's axes and spacing, normalized.
    box
        The non-zero region of the image that it covers, in voxels of the transposed image.
    separate_axis
        Axis along which output goes back by ``order_z``, None where all axes are alike.
    """

    voxels: Float32
    box: Box
    separate_axis: int | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the network's grid (z, y, x)."""
        _, z, y, x = self.voxels.shape
        return z, y, x


class SharedImage:
    """The last image that was prepared, for networks that see the same volumes the same way, one after the other.

    It belongs to one set of volumes; only one image is held at a time.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._image: PreparedImage | None = None

    def holds(self, key: tuple[object, ...]) -> bool:
        """Whether the image of this description is there; one of another description is let go."""
        if key != self._key:
            self._key = self._image = None
        return self._image is not None

    def get(self, key: tuple[object, ...], make: Callable[[], PreparedImage]) -> PreparedImage:
        """Return the image of a description, made where it is not there; ``key`` is all that it depends on."""
        if not self.holds(key) or self._image is None:
            self._image, self._key = make(), key
        return self._image


def prepare(
    channels: Sequence[NDArray[Any]],
    spacing: Sequence[float],
    plan: Plan,
    cancel: CancelToken | None = None,
    box: Box | None = None,
) -> PreparedImage:
    """Crop, normalize and resample an image for a plan's network.

    Parameters
    ----------
    channels
        Arrays (z, y, x) of one shape, in the network's axes (already transposed), as many as the plan has channels.
    spacing
        Of the image in the same axes, mm.
    plan
        Target spacing, normalizations and interpolation orders.
    cancel
        Looked at before every plane.
    box
        What to prepare of the image, where it is known already; see `part_to_prepare`.

    Raises
    ------
    RefusedError
        Where the image holds values that are not finite.
    """
    box = box or part_to_prepare(channels, plan)
    target = plan.spacing_for(spacing)
    shape = resampled_shape(box.shape, spacing, target)
    apart = separate_axis(plan.image_resampling, spacing, target)
    inside = _inside(channels, box) if any(rule.inside_only for rule in plan.normalizations) else None
    voxels = np.empty((len(channels), *shape), np.float32)
    for image, rule, resampled in zip(channels, plan.normalizations, voxels, strict=True):
        scaling = Scaling.fit(image[box.slices], rule, inside)
        _resample(image[box.slices], scaling, apart, plan.image_resampling, resampled, cancel or CancelToken())
    return PreparedImage(voxels, box, separate_axis(plan.output_resampling, target, spacing))


def part_to_prepare(channels: Sequence[NDArray[Any]], plan: Plan) -> Box:
    """Return the part of channels (z, y, x) that a plan's network sees.

    Raises
    ------
    RefusedError
        Where the image holds values that are not finite.
    """
    for image in channels:
        refuse_non_finite(image)
    return _box_of_content(channels) if plan.crop else Box.whole(channels[0].shape)


def _box_of_content(channels: Sequence[NDArray[Any]]) -> Box:
    """Return the box around what is not zero in any channel, of shape (z, y, x); the whole where all is zero."""
    boxes = [box for box in (Box.of_mask(image != 0) for image in channels) if box is not None]
    if not boxes:
        return Box.whole(channels[0].shape)
    return Box.of(np.min([box.start for box in boxes], 0), np.max([box.stop for box in boxes], 0))


def _inside(channels: Sequence[NDArray[Any]], box: Box) -> NDArray[np.bool_]:
    """Return where in the box any channel is not zero, holes filled, as (z, y, x)."""
    some = channels[0][box.slices] != 0
    for image in channels[1:]:
        some |= image[box.slices] != 0
    return ndimage.binary_fill_holes(some)


def refuse_non_finite(image: NDArray[Any]) -> None:
    """Refuse an image with NaN or infinity, in which every average would drown."""
    if image.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in image):
        raise RefusedError(
            "the image holds values that are not finite numbers: replace them (such as by the value of air) first",
            "image.non_finite",
        )


def resampled_shape(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> tuple[int, int, int]:
    """Return the shape after a change of spacing, each axis rounded half to even and at least 1."""
    z, y, x = (max(1, round(old / new * n)) for old, new, n in zip(spacing, target, shape, strict=True))
    return z, y, x


def separate_axis(rule: Resampling, spacing: Sequence[float], target: Sequence[float]) -> int | None:
    """Return the axis that a resampling from ``spacing`` to ``target`` treats apart, or None.

    It is the axis of largest spacing, of the source where that is anisotropic, else of the target, and only where
    it is the only one.
    """
    if rule.separate_z is False:
        return None
    for candidate in (spacing, target):
        if rule.separate_z or max(candidate) / min(candidate) > rule.threshold:
            coarsest = [axis for axis in range(3) if candidate[axis] == max(candidate)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


@lru_cache(maxsize=16)
def axis_matrix(size: int, new_size: int, order: int) -> Float32:
    """Return the (new_size, size) matrix that resizes one axis by splines.

    Voxel centres are half a voxel inside the edges and the image is continued by its edge value, as in
    ``skimage.transform.resize(mode="edge")``.
    """
    at = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
    grid = np.meshgrid(at, np.arange(size, dtype=float), indexing="ij")
    return ndimage.map_coordinates(np.eye(size), grid, order=order, mode="nearest").astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Intensity rule with its numbers: clip to [low, high], subtract ``shift``, divide by ``by``.

    Parameters
    ----------
    low, high
        Bounds, in the image's unit.
    shift, by
        In the image's unit.
    inside
        Where the rule holds (z, y, x); values elsewhere stay as they are. None for everywhere.
    """

    low: float
    high: float
    shift: float
    by: float
    inside: NDArray[np.bool_] | None = None

    @classmethod
    def fit(cls, image: NDArray[Any], rule: Normalization, content: NDArray[np.bool_] | None = None) -> Scaling:
        """Return the scaling of an image (z, y, x) by a rule.

        ``content``, (z, y, x), is where z-scores look that are restricted to the inside.
        """
        smallest = 1e-8
        if rule.scheme == "CTNormalization":
            return cls(rule.low, rule.high, rule.mean, max(rule.std, smallest))
        if rule.scheme == "ZScoreNormalization":
            inside = content if rule.inside_only else None
            values = image if inside is None else image[inside]
            mean, std = values.mean(dtype=np.float64), values.std(dtype=np.float64)
            return cls(-np.inf, np.inf, float(mean), max(float(std), smallest), inside)
        if rule.scheme == "RescaleTo01Normalization":
            low = float(image.min())
            return cls(-np.inf, np.inf, low, max(float(image.max()) - low, smallest))
        return cls(-np.inf, np.inf, 0.0, 255.0 if rule.scheme == "RGBTo01Normalization" else 1.0)

    def along(self, axis: int) -> Scaling:
        """Return the scaling for an image whose ``axis`` was moved to the front."""
        return self if self.inside is None else replace(self, inside=np.moveaxis(self.inside, axis, 0))

    def plane(self, image: NDArray[Any], index: int) -> Float32:
        """Return one plane (y, x) of an image (z, y, x) on the network's scale."""
        source = image[index].astype(np.float32)
        scaled = (np.clip(source, np.float32(self.low), np.float32(self.high)) - np.float32(self.shift)) / np.float32(
            self.by
        )
        return scaled if self.inside is None else np.where(self.inside[index], scaled, source)


def _resample(
    image: NDArray[Any],
    scaling: Scaling,
    apart: int | None,
    rule: Resampling,
    out: Float32,
    cancel: CancelToken,
) -> None:
    """Fill ``out`` (z, y, x) with the scaled and resized image (z, y, x); axis ``apart`` has an order of its own.

    Splines overshoot; like nnU-Net, clip to the range of what was resized at once: a plane or the whole image.
    """
    first = apart or 0
    order_first = rule.order if apart is None else rule.order_z
    image, out, scaling = np.moveaxis(image, first, 0), np.moveaxis(out, first, 0), scaling.along(first)
    planes, ranges = _resize_planes(image, scaling, out.shape[1:], rule.order, cancel)
    if apart is not None:
        np.clip(planes, ranges[:, 0, None, None], ranges[:, 1, None, None], out=planes)
    _resize_first_axis(planes, order_first, out)
    if apart is None:
        np.clip(out, ranges[:, 0].min(), ranges[:, 1].max(), out=out)


def _resize_planes(
    image: NDArray[Any], scaling: Scaling, shape: Sequence[int], order: int, cancel: CancelToken
) -> tuple[Float32, Float32]:
    """Return scaled planes resized to ``shape`` (y, x), and the (z, 2) range of each before."""
    planes = np.empty((len(image), *shape), np.float32)
    ranges = np.empty((len(image), 2), np.float32)
    for index in range(len(image)):
        cancel.check()
        scaled = scaling.plane(image, index)
        ranges[index] = scaled.min(), scaled.max()
        planes[index] = _resize_plane(scaled, shape, order)
    return planes, ranges


def _resize_plane(plane: Float32, shape: Sequence[int], order: int) -> Float32:
    """Return a plane (y, x) at another size; what shrinks most goes first, so that less is left to do."""
    steps = sorted((0, 1), key=lambda axis: shape[axis] / plane.shape[axis])
    for axis in (axis for axis in steps if plane.shape[axis] != shape[axis]):
        matrix = axis_matrix(plane.shape[axis], shape[axis], order)
        plane = matrix @ plane if axis == 0 else plane @ matrix.T
    return plane


def _resize_first_axis(planes: Float32, order: int, out: Float32) -> None:
    """Fill ``out`` (z, y, x) with planes (z, y, x) resized along z, row by row: no second copy is held."""
    if len(planes) == len(out):
        out[:] = planes
        return
    matrix = axis_matrix(len(planes), len(out), order)
    for row in range(out.shape[1]):
        out[:, row] = matrix @ planes[:, row]
