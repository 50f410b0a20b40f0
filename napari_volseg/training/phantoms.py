"""Synthetic patients with exact truth: a torso in CT and a head in MR, each a pure function of its seed.

Anatomy, enhancement, pose and noise vary with the seed, but never the side of an organ: liver right, spleen,
stomach and aorta left, as in nearly all people, so that a mirrored image is always found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_volseg.core import (
    ANATOMICAL_STRUCTURE,
    LESION_CATEGORY,
    Code,
    Color,
    Geometry,
    Provenance,
    Segment,
    Segmentation,
    SegmentTable,
    UsageError,
    Volume,
    color_for,
)
from napari_volseg.spatial import apply_reorientation, display_reorientation, reorient_geometry
from napari_volseg.training.phantoms_abdomen import paint_abdomen
from napari_volseg.training.phantoms_head import (
    BRAINSTEM,
    CEREBELLUM,
    DEEP_GREY,
    GREY_MATTER,
    LEFT_EYE,
    LESION,
    RIGHT_EYE,
    VENTRICLES,
    WHITE_MATTER,
    paint_head,
)
from napari_volseg.training.phantoms_scan import (
    blur,
    labels_of,
    magnitude_image,
    random_pose,
    reconstruction_noise,
    sharp_image,
)
from napari_volseg.training.phantoms_shapes import Field, Points, Scene, Solid, Tissue, Warp, region
from napari_volseg.training.phantoms_thorax import (
    AORTA,
    BONE,
    FAR,
    HEART,
    LEFT_KIDNEY,
    LEFT_LUNG,
    LIVER,
    LIVER_LESION,
    LUNG_NODULE,
    RIGHT_KIDNEY,
    RIGHT_LUNG,
    SPLEEN,
    STOMACH,
    Chance,
    Tissues,
    Trunk,
    paint_chest,
    paint_skeleton,
    paint_wall,
)

#: Labels of a torso that are organs, and those that are lesions inside one.
ORGANS = (RIGHT_LUNG, LEFT_LUNG, HEART, LIVER, SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, AORTA, STOMACH, BONE)
LESIONS = (LIVER_LESION, LUNG_NODULE)
#: Field of view of a torso along (z, y, x), mm.
TORSO_EXTENT = (300.0, 300.0, 360.0)


@dataclass(frozen=True, slots=True)
class PhantomCase:
    """An image and the truth about it, on one grid."""

    volume: Volume
    segmentation: Segmentation


def _segment(
    value: int, name: str, code: str, meaning: str, color: Color | None = None, lesion: bool = False
) -> Segment:
    category = LESION_CATEGORY if lesion else ANATOMICAL_STRUCTURE
    kind = Code(code, "SCT", meaning)
    return Segment(value, name, color or color_for(value), category, kind, "AUTOMATIC", "phantom", "done")


#: What the labels of a torso mean; types are SNOMED CT concepts.
TORSO_TABLE = SegmentTable(
    (
        _segment(RIGHT_LUNG, "Right lung", "3341006", "Right lung", (86, 180, 233)),
        _segment(LEFT_LUNG, "Left lung", "44029006", "Left lung", (0, 114, 178)),
        _segment(HEART, "Heart", "80891009", "Heart", (213, 94, 0)),
        _segment(LIVER, "Liver", "10200004", "Liver", (172, 110, 74)),
        _segment(SPLEEN, "Spleen", "78961009", "Spleen", (204, 121, 167)),
        _segment(RIGHT_KIDNEY, "Right kidney", "9846003", "Right kidney", (230, 159, 0)),
        _segment(LEFT_KIDNEY, "Left kidney", "18639004", "Left kidney", (247, 203, 112)),
        _segment(AORTA, "Aorta", "15825003", "Aorta", (214, 39, 40)),
        _segment(STOMACH, "Stomach", "69695003", "Stomach", (0, 158, 115)),
        _segment(BONE, "Bone", "272673000", "Bone", (238, 232, 205)),
        _segment(LIVER_LESION, "Liver lesion", "52988006", "Lesion", (240, 228, 66), lesion=True),
        _segment(LUNG_NODULE, "Lung nodule", "27925004", "Nodule", (232, 74, 214), lesion=True),
    )
)


def torso(
    seed: int,
    spacing: Sequence[float] = (3.0, 2.0, 2.0),
    extent: Sequence[float] = TORSO_EXTENT,
    noise: float = 11.0,
    supersample: int = 2,
    tilt: float = 0.0,
) -> PhantomCase:
    """Return a contrast-enhanced CT of a supine torso, as a scanner with an axis-aligned grid sees it.

    Parameters
    ----------
    seed
        Chooses anatomy, enhancement, pose and noise.
    spacing
        Voxel spacing (z, y, x), mm.
    extent
        Field of view (z, y, x), mm.
    noise
        Standard deviation in the middle of the body, HU.
    supersample
        Samples per voxel and axis from which partial volume comes.
    tilt
        Angle by which the gantry leans towards the patient's head, degrees: its slices then follow each other along
        the table, which is not their normal.

    Returns
    -------
    PhantomCase
        Voxels int16 in HU; index (z, y, x) runs towards (S, P, L); labels uint8 after ``TORSO_TABLE``.
    """
    anatomy, scan = (np.random.default_rng([seed, part]) for part in (0, 1))
    scene = _torso_scene(Chance(anatomy))
    geometry = _torso_grid(spacing, extent, float(anatomy.uniform(-900, -300)), tilt)
    scene.pose[2, 3] += geometry.to_patient((np.asarray(geometry.shape) - 1) / 2)[2]
    image = blur(sharp_image(scene, geometry, scan, 0, supersample), geometry, (1.0, 0.8, 0.8))
    image += noise * _noise_share(image, geometry) * reconstruction_noise(scan, geometry)
    voxels = np.clip(np.round(image), -1024, 3071).astype(np.int16)
    volume = Volume(voxels, geometry, "CT", "HU", "HU", f"torso phantom {seed}")
    return PhantomCase(volume, Segmentation(labels_of(scene, geometry), geometry, TORSO_TABLE))


def torso_tissues(
    seed: int, spacing: Sequence[float] = (3.0, 2.0, 2.0), extent: Sequence[float] = TORSO_EXTENT
) -> tuple[NDArray[np.uint8], tuple[float, ...], tuple[int, ...]]:
    """Return a map of the tissue numbers of a seed's torso, and the mean HU and the label of each number.

    The map (z, y, x) lies on the grid of :func:`torso` with the same ``spacing`` and ``extent`` (mm).
    """
    anatomy = np.random.default_rng([seed, 0])
    scene = _torso_scene(Chance(anatomy))
    geometry = _torso_grid(spacing, extent, float(anatomy.uniform(-900, -300)), 0.0)
    scene.pose[2, 3] += geometry.to_patient((np.asarray(geometry.shape) - 1) / 2)[2]
    tissue = scene.sample(geometry)
    return tissue, tuple(t.values[0] for t in scene.tissues), tuple(t.label for t in scene.tissues)


def _torso_grid(spacing: Sequence[float], extent: Sequence[float], z: float, tilt: float) -> Geometry:
    shape = [max(1, round(e / s)) for e, s in zip(extent, spacing, strict=True)]
    half = [(n - 1) * s / 2 for n, s in zip(shape, spacing, strict=True)]
    upright = Geometry.from_spacing(shape, spacing, (-half[2], -half[1], z))
    if tilt == 0:
        return upright
    matrix, middle = upright.matrix.copy(), (np.asarray(shape) - 1) / 2
    matrix[1:3, 1] = spacing[1] * np.cos(np.radians(tilt)), spacing[1] * np.sin(np.radians(tilt))
    matrix[:3, 3] = upright.to_patient(middle) - matrix[:3, :3] @ middle
    return Geometry(upright.shape, matrix)


def _torso_scene(chance: Chance) -> Scene:
    pose = random_pose(chance.rng, degrees=(5, 4, 6), shift=(8, 6, 6), scale=0.05)
    pose[:3, 3] += pose[:3, :3] @ (0, 0, 5)
    scene = Scene(Tissue((-1000.0,)), pose, Warp.random(chance.rng, 7.0, (160, 320)))
    trunk, materials = Trunk.random(chance), Tissues.random(chance)
    _paint_table(scene, trunk)
    paint_wall(scene, trunk, materials)
    paint_chest(scene, trunk, materials, chance)
    paint_abdomen(scene, trunk, materials, chance)
    paint_skeleton(scene, trunk, materials, chance)
    return scene


def _paint_table(scene: Scene, trunk: Trunk) -> None:
    """Paint a padded, curved carbon-fibre table under the patient, level with the scanner."""
    top = scene.depth_of((0, trunk.depth - 6, 0))

    def layer(start: float, thick: float) -> Solid:
        def distance(p: Points) -> Field:
            sag = top + start - p.x * p.x / 900
            return np.asarray(np.maximum(sag - p.depth, p.depth - sag - thick), np.float32)

        return region(distance, -2 * FAR, 2 * FAR)

    width = region(lambda p: np.asarray(np.abs(p.x) - 190, np.float32), -2 * FAR, 2 * FAR)
    pad, shell, core = Tissue((-900.0,), 6), Tissue((-250.0,)), Tissue((-930.0,))
    for start, thick, tissue in ((0.0, 10.0, pad), (10.0, 32.0, shell), (12.5, 27.0, core)):
        scene.paint(layer(start, thick).meet(width), tissue)


def _noise_share(image: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Return how strong noise is in each voxel: 1 in the middle of the body, less towards the air around it."""
    solid = blur((image > -500).astype(np.float32), geometry, (20, 40, 40))
    return np.asarray(0.35 + 0.85 * solid, np.float32)


@dataclass(frozen=True, slots=True)
class Sequence3D:
    """How one MR sequence samples the head.

    Parameters
    ----------
    image
        Which of the tissues' values it shows.
    axes
        Where its index (z, y, x) runs before it is tilted, as columns (x, y, z), LPS.
    spacing
        Voxel spacing (z, y, x), mm.
    extent
        Field of view (z, y, x), mm.
    tilt
        Turns about x, y and z by which the acquisition is oblique, degrees.
    """

    image: int
    axes: tuple[tuple[int, int, int], ...]
    spacing: tuple[float, float, float]
    extent: tuple[float, float, float]
    tilt: tuple[float, float, float]

    def geometry(self) -> Geometry:
        """Return the oblique grid, centred on the scanner's origin."""
        shape = np.round(np.divide(self.extent, self.spacing)).astype(int)
        turn = Rotation.from_euler("xyz", self.tilt, degrees=True).as_matrix()
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ np.column_stack(self.axes) * self.spacing
        matrix[:3, 3] = -matrix[:3, :3] @ ((shape - 1) / 2)
        return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), matrix)


#: A sagittal volume and a stack of thick oblique axial slices: two grids that share nothing but the head.
HEAD_SEQUENCES = {
    "T1": Sequence3D(0, ((1, 0, 0), (0, 0, -1), (0, 1, 0)), (1.6, 1.5, 1.5), (192, 234, 234), (7, -4, 9)),
    "FLAIR": Sequence3D(1, ((0, 0, 1), (0, 1, 0), (1, 0, 0)), (5.0, 1.2, 1.2), (170, 228, 186), (-13, 3, 5)),
}


#: What the labels of a head mean; types are SNOMED CT concepts.
HEAD_TABLE = SegmentTable(
    (
        _segment(GREY_MATTER, "Cerebral grey matter", "40146001", "Cerebral cortex"),
        _segment(WHITE_MATTER, "Cerebral white matter", "68523003", "Cerebral white matter"),
        _segment(VENTRICLES, "Ventricles", "35764002", "Brain ventricle"),
        _segment(CEREBELLUM, "Cerebellum", "113305005", "Cerebellum"),
        _segment(BRAINSTEM, "Brainstem", "15926001", "Brainstem"),
        _segment(DEEP_GREY, "Deep grey matter", "389081007", "Gray matter"),
        _segment(RIGHT_EYE, "Right eye", "18944008", "Right eye"),
        _segment(LEFT_EYE, "Left eye", "8966001", "Left eye"),
        _segment(LESION, "Lesion", "52988006", "Lesion", lesion=True),
    )
)


def head(
    seed: int,
    sequence: str = "T1",
    spacing: tuple[float, float, float] | None = None,
    noise: float = 16.0,
    supersample: int = 2,
) -> PhantomCase:
    """Return one MR sequence of a head; sequences of one seed show the same head in the same pose.

    Parameters
    ----------
    seed
        Chooses anatomy, contrast, pose and noise.
    sequence
        A key of ``HEAD_SEQUENCES``.
    spacing
        Voxel spacing (z, y, x), mm; None for the sequence's own.
    noise
        Standard deviation in each of the two receiver channels, arbitrary units; white matter in T1 has about 800.
    supersample
        Samples per voxel and axis from which partial volume comes.

    Returns
    -------
    PhantomCase
        Voxels int16 on the display grid of an oblique acquisition, whose own grid is in the provenance; labels uint8
        after ``HEAD_TABLE``. The lesion lies on the left.

    Raises
    ------
    UsageError
        For an unknown sequence.
    """
    if sequence not in HEAD_SEQUENCES:
        raise UsageError(f"the head phantom has no sequence {sequence!r}: choose one of {', '.join(HEAD_SEQUENCES)}")
    chosen = HEAD_SEQUENCES[sequence]
    chosen = replace(chosen, spacing=spacing or chosen.spacing)
    anatomy, scan = (np.random.default_rng([seed, part]) for part in (10, 11 + chosen.image))
    chance = Chance(anatomy)
    pose = random_pose(anatomy, degrees=(6, 4, 6), shift=(4, 4, 3), scale=0.04)
    pose[:3, 3] += pose[:3, :3] @ (0, 8, 22)
    scene = Scene(Tissue((12, 10)), pose, Warp.random(anatomy, 3.0, (90, 200)))
    paint_head(scene, chance)
    geometry = chosen.geometry()
    image = blur(sharp_image(scene, geometry, scan, chosen.image, supersample), geometry, (0.6, 0.6, 0.6))
    voxels = np.round(magnitude_image(scan, image, geometry, noise)).astype(np.int16)
    return _displayed(voxels, labels_of(scene, geometry), geometry, f"head phantom {seed} {sequence}")


def _displayed(voxels: NDArray[np.int16], labels: NDArray[np.uint8], source: Geometry, name: str) -> PhantomCase:
    """Return an MR case as a file on the ``source`` grid would be opened: on the display grid."""
    turn = display_reorientation(source)
    geometry = reorient_geometry(source, turn)
    provenance = Provenance("memory", source, turn)
    volume = Volume(apply_reorientation(voxels, turn), geometry, "MR", name=name, provenance=provenance)
    return PhantomCase(volume, Segmentation(apply_reorientation(labels, turn), geometry, HEAD_TABLE))
