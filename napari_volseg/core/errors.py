"""The one hierarchy of errors that a user may meet.

Every message is one sentence that names the value, the expectation and the cure. The command line maps the
types to exit codes and the window maps them to notifications; nothing else interprets them.
"""

from __future__ import annotations

from collections.abc import Mapping


class VolsegError(Exception):
    """Base of all errors that are meant to be read by a user."""


class UsageError(VolsegError):
    """The request itself makes no sense: an unknown name, option or combination."""


class RefusedError(VolsegError):
    """An input was examined and can't be used safely.

    Parameters
    ----------
    message
        One sentence: value, expectation, cure.
    code
        Stable machine-readable identifier such as ``"nifti.truncated"``.
    """

    def __init__(self, message: str, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class GeometryError(RefusedError):
    """A grid that has no place in the patient: singular, non-finite or mismatched."""

    def __init__(self, message: str, code: str = "geometry") -> None:
        super().__init__(message, code)


class DecisionNeededError(VolsegError):
    """Several readings of an input are possible and only the user can choose.

    Parameters
    ----------
    message
        One sentence that says what is ambiguous.
    choices
        Choice identifier to the sentence that explains it.
    keyword
        Name under which the answer is given in advance, such as ``"on_missing_slice"``; empty where there is none.
    """

    def __init__(self, message: str, choices: Mapping[str, str], keyword: str = "") -> None:
        super().__init__(message)
        self.choices = dict(choices)
        self.keyword = keyword


class CancelledError(VolsegError):
    """The user cancelled a job; nothing was changed."""
