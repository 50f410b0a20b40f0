"""Elements of a DICOM header as plain Python values, or a refusal that shows what stands there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from pydicom.datadict import dictionary_description, tag_for_keyword

from napari_volseg.core import RefusedError


class Header(Protocol):
    """Elements by keyword, as a ``pydicom.Dataset`` gives them."""

    def __contains__(self, key: Any, /) -> bool: ...

    def get(self, keyword: Any, default: Any = None, /) -> Any:
        """Return the value of an element, ``default`` where it is absent."""

    def get_item(self, key: Any, /) -> Any:
        """Return an element as it stands in the file."""


def texts(header: Header, keyword: str) -> tuple[str, ...]:
    """Return the values of a text element, stripped; none where it is absent."""
    value = header.get(keyword)
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    return tuple(str(item).strip() for item in values)


def text(header: Header, keyword: str) -> str:
    """Return a text element as it stands in the file, values joined by backslashes."""
    return "\\".join(texts(header, keyword))


def numbers(path: Path, header: Header, keyword: str) -> tuple[float, ...] | None:
    """Return the finite numbers of an element; None where it is absent or empty."""
    try:
        value = header.get(keyword)
        if value is None or value == "":
            return None
        numbers = tuple(float(item) for item in (value if isinstance(value, Iterable) else [value]))
    except (ValueError, TypeError, OverflowError) as error:
        raise bad_value(path, header, keyword, "numbers are needed") from error
    if not all(map(math.isfinite, numbers)):
        raise bad_value(path, header, keyword, "finite numbers are needed")
    return numbers or None


def number(path: Path, header: Header, keyword: str) -> float | None:
    """Return the first finite number of an element; None where it is absent or empty."""
    values = numbers(path, header, keyword)
    return values[0] if values else None


def size(path: Path, header: Header, keyword: str) -> int:
    """Return a positive whole number, such as Rows; RefusedError where it is none."""
    value = number(path, header, keyword)
    if not value or value < 1:
        raise bad_value(path, header, keyword, "a positive number is needed")
    return int(value)


def bad_value(path: Path, header: Header, keyword: str, need: str) -> RefusedError:
    """Return the refusal of an element's value, which is shown as it stands."""
    name = dictionary_description(keyword)
    raw = header.get_item(tag_for_keyword(keyword) or 0)
    value = getattr(raw, "value", b"")
    if isinstance(value, bytes):
        shown = value.decode("latin-1")
    elif isinstance(value, Iterable) and not isinstance(value, str):
        shown = "\\".join(map(str, value))
    else:
        shown = str(value)
    return RefusedError(
        f"{path.name} has a {name} of '{' '.join(shown.split())}': {need}; re-export it", "dicom.bad_value"
    )
