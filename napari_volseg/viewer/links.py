"""Connections that are taken apart together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Links:
    """Signals of psygnal or napari and what each of them calls."""

    def __init__(self) -> None:
        self._kept: list[tuple[Any, Callable[..., None]]] = []

    def add(self, *links: tuple[Any, Callable[..., None]]) -> None:
        """Connect signals to what they are to call."""
        for signal, slot in links:
            signal.connect(slot)
            self.keep(signal, slot)

    def keep(self, signal: Any, slot: Callable[..., None]) -> None:
        """Take charge of a connection that is there."""
        self._kept.append((signal, slot))

    def clear(self) -> None:
        """Take all connections apart."""
        while self._kept:
            signal, slot = self._kept.pop()
            signal.disconnect(slot)
