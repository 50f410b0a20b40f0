"""Synthetic Siemens mosaics: slices tiled in one image, and the private headers that tell how."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from dicom_factory import Recipe, make_instance, save
from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Private:
    """What private headers say; None or empty where they don't."""

    count: int | None
    normal: tuple[float, ...] | None
    places: np.ndarray | None = None
    xa: bool = False
    b_value: float | None = None


def private_of(recipe: Recipe, **changes: object) -> Private:
    """Return what a scanner writes of a recipe's slices."""
    way = recipe.position(1) - recipe.position(0)
    normal = tuple((way / np.linalg.norm(way)).tolist())
    facts = {"count": recipe.shape[0], "normal": normal, "places": centres(recipe), **changes}
    return Private(**facts)  # type: ignore[arg-type]


def centres(recipe: Recipe) -> np.ndarray:
    """Centres of the slices, (n, 3), mm, LPS, as a protocol plans them."""
    count, rows, columns = recipe.shape
    return np.array([recipe.place((k, rows / 2, columns / 2)) for k in range(count)])


def csa(entries: dict[str, list[str]]) -> bytes:
    """A CSA header ("SV10")."""
    content = b"SV10\4\3\2\1" + struct.pack("<II", len(entries), 77)
    for name, items in entries.items():
        content += struct.pack("<64si4s3i", name.encode(), len(items), b"DS", 3, len(items) + 1, 77)
        for item in [*items, ""]:
            text = item.encode() + b"\0" if item else b""
            content += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + bytes(-len(text) % 4)
    return content


def protocol(places: np.ndarray) -> str:
    lines = [f"sSliceArray.lSize\t = \t{len(places)}"]
    for k, place in enumerate(places):
        for axis, value in zip(("Sag", "Cor", "Tra"), place, strict=True):
            if value:
                lines.append(f"sSliceArray.asSlice[{k}].sPosition.d{axis}\t = \t{float(value):.10g}")
    return "<XProtocol> {}\n### ASCCONV BEGIN ###\n" + "\n".join(lines) + "\n### ASCCONV END ###"


def add_private(dataset: Dataset, private: Private) -> None:
    text = "" if private.places is None else protocol(private.places)
    if private.xa:
        dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        dataset.add_new(0x0019100A, "US", private.count)
        dataset.add_new(0x00210010, "LO", "SIEMENS MR SDS 01")
        dataset.add_new(0x00211019, "OB", text.encode() + b"\0" * (len(text) % 2))
        return
    image: dict[str, list[str]] = {"EchoLinePosition": []}
    if private.count is not None:
        image["NumberOfImagesInMosaic"] = [f"{private.count:8d}"]
    if private.normal is not None:
        image["SliceNormalVector"] = [f"{value:.8f}" for value in private.normal]
    if private.b_value is not None:
        image["B_value"] = [f"{private.b_value:g}"]
    dataset.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    dataset.add_new(0x00291010, "OB", csa(image))
    dataset.add_new(0x00291020, "OB", csa({"MrPhoenixProtocol": [text]}))


def write_mosaic(
    folder: Path,
    recipe: Recipe,
    private: Private | None,
    *,
    add: int = 0,
    number: int = 1,
    spare: int = 0,
    **elements: object,
) -> Path:
    """Write the slices of a recipe as one mosaic, whose position is that which scanners write.

    Parameters
    ----------
    add
        To all values.
    number
        Of the file.
    spare
        One value in the last spare tile.
    """
    count, rows, columns = recipe.shape
    side = ceil(sqrt(count))
    tiled = np.zeros((side, rows, side, columns), np.int16)
    for k, pixels in enumerate(recipe.stored()):
        tiled[k // side, :, k % side] = pixels + add
    tiled[-1, 0, -1, 0] += spare
    dataset = make_instance(recipe, number - 1, tiled.reshape(side * rows, side * columns))
    back = recipe.place((0, -(side - 1) * rows / 2, -(side - 1) * columns / 2))
    dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    dataset.ImagePositionPatient = [f"{value:.12g}" for value in back]
    dataset.SpacingBetweenSlices = recipe.gap
    dataset.AcquisitionNumber = number
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if private is not None:
        add_private(dataset, private)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"mosaic{number}.ima"
    save(dataset, path, recipe.syntax)
    return path
