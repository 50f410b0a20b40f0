"""How sentences of the program are shown to people."""

from __future__ import annotations


def as_sentence(text: str) -> str:
    """Return a sentence with a capital first letter, unless it begins with the name of a file."""
    first = text.split(" ", 1)[0]
    begins_with_file = any(mark in first for mark in "./\\_") or any(c.isdigit() for c in first)
    return text if begins_with_file else text[:1].upper() + text[1:]
