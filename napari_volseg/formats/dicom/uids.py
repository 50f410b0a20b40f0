"""UIDs for images that lost theirs: derived from content, so that the same files give the same UIDs again."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID


def derived_uid(*parts: str) -> UID:
    """Return a UID under 2.25 (a UUID as a decimal, DICOM PS3.5 B.2) that depends on ``parts`` alone."""
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()[:16]
    return UID(f"2.25.{uuid.UUID(bytes=digest, version=5).int}")


def complete_uids(datasets: Sequence[Dataset], paths: Sequence[Path]) -> bool:
    """Fill empty UIDs of a series in place.

    An instance takes the UID and class that its file meta information names, which by PS3.10 7.1 are its own, and
    one derived from the file's content where there is none. Series and study derive from what identifies them
    best: their instances, and the frame of reference with the study date.

    Returns
    -------
    bool
        Whether any UID was filled in.
    """
    filled = False
    for dataset, path in zip(datasets, paths, strict=True):
        meta = dataset.file_meta
        if not dataset.get("SOPClassUID"):
            dataset.SOPClassUID = meta.get("MediaStorageSOPClassUID", "")
            filled = True
        if not dataset.get("SOPInstanceUID"):
            own = meta.get("MediaStorageSOPInstanceUID", "")
            dataset.SOPInstanceUID = own or derived_uid("instance", hashlib.sha256(path.read_bytes()).hexdigest())
            filled = True
    instances = sorted(str(dataset.SOPInstanceUID) for dataset in datasets)
    first = datasets[0]
    frame = str(first.get("FrameOfReferenceUID") or "")
    substitutes = {
        "SeriesInstanceUID": derived_uid("series", *instances),
        "StudyInstanceUID": derived_uid("study", *((frame, str(first.get("StudyDate", ""))) if frame else instances)),
        "FrameOfReferenceUID": derived_uid("frame", *instances),
    }
    for dataset in datasets:
        for keyword, uid in substitutes.items():
            if not dataset.get(keyword):
                setattr(dataset, keyword, uid)
                filled = True
    return filled
