"""``ct-tissues``: body, lungs, bone, fat and muscle of a CT without any trained weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import (
    ANATOMICAL_STRUCTURE,
    TISSUE,
    Box,
    CancelToken,
    Code,
    Color,
    ModelCard,
    Progress,
    ProgressCallback,
    RefusedError,
    Segment,
    UsageError,
    Volume,
    no_progress,
)
from napari_volseg.inference.model import Band, BandCallback, Prediction, RunReport, no_bands, require_3d
from napari_volseg.inference.preprocessing import refuse_non_finite
from napari_volseg.inference.runs import Stopwatch, peak_memory_bytes
from napari_volseg.inference.tissue_grid import Mask, WorkingGrid, dilate, erode
from napari_volseg.inference.tissue_masks import (
    BONE_HU,
    LUNG_SURFACE_HU,
    SKIN_HU,
    UNSEEN_HU,
    body_mask,
    bone_mask,
    lung_masks,
    wall_mask,
)
from napari_volseg.inference.upright import predict_upright
from napari_volseg.spatial import (
    DISPLAY_CODES,
    apply_reorientation,
    display_reorientation,
    reorient_geometry,
    straightening,
)

BODY, LEFT_LUNG, RIGHT_LUNG, BONE, FAT, MUSCLE = range(1, 7)
FAT_HU = (-190.0, -30.0)
LEAN_HU = (-29.0, 150.0)


def _segment(value: int, name: str, color: Color, code: str, meaning: str, category: Code) -> Segment:
    kind = Code(code, "SCT", meaning)
    return Segment(value, name, color, category, kind, algorithm_type="AUTOMATIC", algorithm_name=CtTissues.NAME)


class CtTissues:
    """A weights-free model of the tissues of chest and abdomen in CT.

    Densities and shapes alone decide, first on a grid of 2 to 3 mm, then voxel by voxel along the surfaces.
    """

    NAME = "ct-tissues"

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        return ModelCard(
            id=self.NAME,
            title="CT tissues",
            version="1.0",
            task="body, left and right lung, bone, fat and muscle in CT of chest and abdomen",
            segments=SEGMENTS,
            orientation=DISPLAY_CODES,
            intensity="HU as they are",
            code_license="BSD-3-Clause",
            weights_license="none: there are no weights",
            intended_use=(
                "A starting point for annotation, not for diagnosis. Body holds what the other segments leave. Lungs "
                "include vessels. Muscle is lean tissue of the body wall and limbs, told from organs by depth alone. "
                "Strongly enhanced vessels and metal can be taken for bone."
            ),
        )

    def predict(
        self,
        volume: Volume,
        *,
        further: Sequence[Volume] = (),
        device: str = "auto",
        backend: str = "auto",
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        bands: BandCallback = no_bands,
        look_at: Box | None = None,
        skip_air: bool = False,
    ) -> Prediction:
        """Label a CT; see `SegmentationModel.predict`. It runs on the CPU whatever ``device`` is asked for.

        ``further`` images are not looked at, ``bands`` hears of the whole at once, and no air is skipped.

        Raises
        ------
        RefusedError
            Where the volume is no CT in HU.
        """
        watch, cancel = Stopwatch(), cancel or CancelToken()
        if backend not in ("auto", "numpy"):
            raise UsageError(f"back end {backend!r} is unknown to {self.NAME}: choose auto or numpy")
        require_3d(volume)
        _require_ct(volume)
        way = straightening(volume.geometry)
        if way is not None:

            def predict(upright: Sequence[Volume]) -> Prediction:
                return self.predict(upright[0], device=device, backend=backend, progress=progress, cancel=cancel)

            return predict_upright(predict, (volume,), way, progress, cancel)
        with watch.phase("before"):
            refuse_non_finite(volume.voxels)
        to_display = display_reorientation(volume.geometry)
        voxels = apply_reorientation(volume.voxels, to_display)
        spacing = reorient_geometry(volume.geometry, to_display).spacing
        labels = np.zeros(volume.geometry.shape, np.uint8)
        tell = _Steps(progress, cancel)
        with watch.phase("before"):
            tell("working grid")
            grid = WorkingGrid.of(voxels, spacing, cancel)
            zones = _Zones(grid, tell)
        with watch.phase("after"):
            tell("surfaces")
            _fill(apply_reorientation(labels, to_display), voxels, zones, cancel)
        bands(Band(Box.whole(labels.shape), labels))
        report = RunReport(self.NAME, "CPU", "numpy", 0, watch.seconds(), peak_memory_bytes())
        return Prediction(labels, SEGMENTS, report)


SEGMENTS = (
    _segment(BODY, "Body", (196, 164, 132), "38266002", "Entire body", ANATOMICAL_STRUCTURE),
    _segment(LEFT_LUNG, "Left lung", (0, 114, 178), "44029006", "Left lung", ANATOMICAL_STRUCTURE),
    _segment(RIGHT_LUNG, "Right lung", (86, 180, 233), "3341006", "Right lung", ANATOMICAL_STRUCTURE),
    _segment(BONE, "Bone", (238, 232, 205), "3138006", "Bone", TISSUE),
    _segment(FAT, "Fat", (240, 228, 66), "55603005", "Fat", TISSUE),
    _segment(MUSCLE, "Muscle", (150, 62, 52), "91727004", "Muscle", TISSUE),
)


class _Steps:
    """Tells progress step by step and looks at the cancel token."""

    TOTAL = 6

    def __init__(self, progress: ProgressCallback, cancel: CancelToken) -> None:
        self._progress, self._cancel, self._done = progress, cancel, 0

    def __call__(self, message: str) -> None:
        self._cancel.check()
        self._progress(Progress(self._done, self.TOTAL, message))
        self._done += 1


class _Zones:
    """Per tissue on the working grid: where it surely is, and where voxels decide."""

    def __init__(self, grid: WorkingGrid, tell: _Steps) -> None:
        self.grid = grid
        tell("body")
        body = body_mask(grid)
        tell("bone")
        bone = bone_mask(grid, body)
        tell("lungs")
        left, right = lung_masks(grid, body, bone)
        tell("muscle")
        lungs = left | right
        self.body_inside, self.body_near = self._band(body)
        self.lung_inside, self.lung_near = self._band(lungs)
        self.left_side = dilate(left, grid.spacing, self._reach) & ~right
        self.bone_inside, self.bone_near = self._band(bone)
        self.wall = wall_mask(grid, body, bone, lungs)

    @property
    def _reach(self) -> float:
        """Just more than one voxel of the working grid in any axis direction, mm."""
        return 1.01 * max(self.grid.spacing)

    def _band(self, mask: Mask) -> tuple[Mask, Mask]:
        return erode(mask, self.grid.spacing, self._reach), dilate(mask, self.grid.spacing, self._reach)

    def plane(self, mask: Mask, z: int, shape: tuple[int, ...]) -> Mask:
        """Return a mask's plane at source plane ``z``, at the source's size (y, x)."""
        return self.grid.plane_on_source(mask, z, shape)


def _fill(labels: NDArray[np.uint8], voxels: NDArray[Any], zones: _Zones, cancel: CancelToken) -> None:
    """Label a CT (z, y, x) plane by plane in the display orientation."""
    for z in range(len(voxels)):
        cancel.check()
        hu = ndimage.uniform_filter(voxels[z].astype(np.float32), 3)
        labels[z] = _label_plane(voxels[z], hu, zones, z)


def _label_plane(raw: NDArray[Any], smooth: NDArray[np.float32], zones: _Zones, z: int) -> NDArray[np.uint8]:
    """Return the labels of one axial plane (y, x); later tissues overwrite earlier ones."""
    labels = np.zeros(raw.shape, np.uint8)

    def decided(inside: Mask, near: Mask, condition: Mask) -> Mask:
        return zones.plane(inside, z, raw.shape) | (zones.plane(near, z, raw.shape) & condition)

    body = decided(zones.body_inside, zones.body_near, smooth > SKIN_HU)
    labels[body] = BODY
    labels[body & (smooth > LEAN_HU[0]) & (smooth < LEAN_HU[1]) & zones.plane(zones.wall, z, raw.shape)] = MUSCLE
    fat = body & (smooth > FAT_HU[0]) & (smooth < FAT_HU[1])
    # single layers are the blur between gas and lean tissue
    labels[ndimage.binary_opening(fat)] = FAT
    labels[body & decided(zones.bone_inside, zones.bone_near, raw > BONE_HU)] = BONE
    lung = decided(zones.lung_inside, zones.lung_near, raw < LUNG_SURFACE_HU)
    labels[lung] = np.where(zones.plane(zones.left_side, z, raw.shape)[lung], LEFT_LUNG, RIGHT_LUNG)
    labels[raw < UNSEEN_HU] = 0
    return labels


def _require_ct(volume: Volume) -> None:
    """Refuse what is known not to be in HU, and what has neither air nor dense tissue where HU would."""
    known = volume.modality == "CT" or volume.quantity == "HU"
    if volume.modality not in ("CT", "OT") or (not known and not _looks_like_hu(volume.voxels)):
        raise RefusedError(
            f"{CtTissues.NAME} needs a CT in HU; {volume.name} is {volume.modality} with {volume.quantity} values: "
            "open a CT, or choose another model",
            "model.not_ct",
        )


def _looks_like_hu(voxels: NDArray[Any]) -> bool:
    return bool(voxels.min() < -900 and 100 < voxels.max() < 33000)
