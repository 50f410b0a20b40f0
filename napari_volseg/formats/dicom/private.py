"""Elements that makers of scanners add: found by the block that their private creator reserved (PS3.5 7.8.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

#: Private creator to its group and the elements, counted in its block, that are read.
Creators = Mapping[str, tuple[int, tuple[int, ...]]]

#: Blocks that are looked through; real files use the first few.
_BLOCKS = range(0x10, 0x18)


def private_tags(creators: Creators) -> tuple[BaseTag, ...]:
    """Return the tags to read so that ``private_value`` finds what there is."""
    return tuple(
        tag
        for group, elements in creators.values()
        for block in _BLOCKS
        for tag in (Tag(group, block), *(Tag(group, block << 8 | element) for element in elements))
    )


def private_value(header: Dataset, creators: Creators, creator: str, element: int) -> Any:
    """Return the value of an element in the block of a private creator; None where there is none."""
    group, _ = creators[creator]
    for block in _BLOCKS:
        if str(_value(header, Tag(group, block))).strip(" \0") == creator:
            return _value(header, Tag(group, block << 8 | element))
    return None


def _value(header: Dataset, tag: BaseTag) -> Any:
    return header[tag].value if tag in header else None
