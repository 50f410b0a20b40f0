"""What a scanner makes of a scene: partial volume, blur, texture and correlated noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Geometry
from napari_volseg.training.phantoms_shapes import Scene

#: Correlation length of tissue inhomogeneity, mm.
_TEXTURE_MM = 3.0


def random_pose(
    rng: np.random.Generator, degrees: Sequence[float], shift: Sequence[float], scale: float
) -> NDArray[np.float64]:
    """Return a 4×4 body → patient matrix, mm, LPS.

    ``degrees`` bound the turns about (x, y, z), ``shift`` the move (x, y, z) in mm, and the size varies by ``scale``
    (0.06: from 0.94 to 1.06). The handedness is never changed.
    """
    from scipy.spatial.transform import Rotation

    turns = rng.uniform(-1, 1, 3) * degrees
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", turns, degrees=True).as_matrix() * rng.uniform(1 - scale, 1 + scale)
    pose[:3, 3] = rng.uniform(-1, 1, 3) * shift
    return pose


def finer(geometry: Geometry, factor: int) -> Geometry:
    """Return the grid whose voxels divide those of ``geometry`` into ``factor`` along each axis."""
    matrix = geometry.matrix.copy()
    matrix[:3, :3] /= factor
    matrix[:3, 3] += matrix[:3, :3].sum(axis=1) * (1 - factor) / 2
    depth, height, width = geometry.shape
    return Geometry((depth * factor, height * factor, width * factor), matrix)


def sharp_image(
    scene: Scene, geometry: Geometry, rng: np.random.Generator, image: int = 0, supersample: int = 2
) -> NDArray[np.float32]:
    """Return the noiseless intensity of each voxel (z, y, x), averaged over ``supersample``³ samples.

    ``image`` chooses among the values of the scene's tissues.
    """
    tissue = scene.sample(finer(geometry, supersample))
    values = np.array([t.values[image] for t in scene.tissues], np.float32)
    texture = np.array([t.texture for t in scene.tissues], np.float32)
    mean = _block_mean(values, tissue, supersample)
    amplitude = _block_mean(texture, tissue, supersample)
    return mean + amplitude * smooth_noise(rng, geometry, _TEXTURE_MM)


def _block_mean(table: NDArray[np.float32], index: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """Return the mean of ``table[index]`` over blocks of ``factor``³, one slab of output planes at a time."""
    shape = tuple(n // factor for n in index.shape)
    out = np.empty(shape, np.float32)
    for z in range(shape[0]):
        block = table[index[z * factor : (z + 1) * factor]]
        out[z] = block.reshape(factor, shape[1], factor, shape[2], factor).mean(axis=(0, 2, 4))
    return out


def smooth_noise(rng: np.random.Generator, geometry: Geometry, length: float) -> NDArray[np.float32]:
    """Return unit-variance Gaussian noise (z, y, x) that is smooth over ``length`` mm."""
    white = rng.standard_normal(geometry.shape, np.float32)
    soft = ndimage.gaussian_filter(white, [length / s for s in geometry.spacing], mode="wrap")
    return np.asarray(soft / max(float(soft.std()), 1e-6), np.float32)


def reconstruction_noise(rng: np.random.Generator, geometry: Geometry) -> NDArray[np.float32]:
    """Return unit-variance noise (z, y, x) with the band-pass look of filtered back projection.

    In-plane it lacks the lowest and the highest frequencies (ramp filter times a soft kernel; Kak and Slaney, 1988,
    section 3.3); along z it is nearly white.
    """
    white = rng.standard_normal(geometry.shape, np.float32)
    dz, dy, dx = geometry.spacing
    fine = ndimage.gaussian_filter(white, (0.6 / dz, 1.0 / dy, 1.0 / dx), mode="wrap")
    coarse = ndimage.gaussian_filter(white, (0.6 / dz, 4.0 / dy, 4.0 / dx), mode="wrap")
    band = fine - 0.8 * coarse
    return np.asarray(band / float(band.std()), np.float32)


def blur(voxels: NDArray[np.float32], geometry: Geometry, sigma: Sequence[float]) -> NDArray[np.float32]:
    """Return the image after a Gaussian point spread of ``sigma`` (z, y, x), mm."""
    widths = [s / d for s, d in zip(sigma, geometry.spacing, strict=True)]
    return np.asarray(ndimage.gaussian_filter(voxels, widths, mode="nearest"), np.float32)


def magnitude_image(
    rng: np.random.Generator, image: NDArray[np.float32], geometry: Geometry, noise: float
) -> NDArray[np.float32]:
    """Return an MR magnitude image: uneven coil sensitivity, and Rician noise of ``noise`` per channel.

    Gudbjartsson and Patz, "The Rician distribution of noisy MRI data", Magn Reson Med 34 (1995).
    """
    sensitivity = 1 + 0.10 * smooth_noise(rng, geometry, 60.0)
    channels = noise * rng.standard_normal((2, *geometry.shape), np.float32)
    return np.asarray(np.hypot(image * sensitivity + channels[0], channels[1]), np.float32)


def labels_of(scene: Scene, geometry: Geometry) -> NDArray[np.uint8]:
    """Return the truth label at the centre of each voxel (z, y, x)."""
    table = np.array([t.label for t in scene.tissues], np.uint8)
    return np.asarray(table[scene.sample(geometry)])
