"""How sentences of the program are shown to people."""

from __future__ import annotations

import re

#: A word of more letters than that, such as the name of a file, is wider than the panel.
LONGEST = 30
#: Where a line may end without a mark: a space of no width.
BREAK = "\u200b"
_TOO_LONG = re.compile(rf"\S{{{LONGEST}}}(?=\S)")


def as_sentence(text: str) -> str:
    """Return a sentence with a capital first letter, unless it begins with the name of a file."""
    first = text.split(" ", 1)[0]
    begins_with_file = any(mark in first for mark in "./\\_") or any(c.isdigit() for c in first)
    return text if begins_with_file else text[:1].upper() + text[1:]


def breakable(text: str) -> str:
    """Return a text whose long words may be broken where a line ends, lest they are cut."""
    return _TOO_LONG.sub(lambda part: part[0] + BREAK, text)
