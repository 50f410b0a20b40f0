"""The tasks of TotalSegmentator: which networks they take, what these label, and where weights lie.

Names, label values, spacings and releases are facts of TotalSegmentator 2.18 (github.com/wasserth/TotalSegmentator,
Apache-2.0), kept in totalsegmentator.json. Wasserthal et al., Radiology: Artificial Intelligence 2023.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from napari_volseg.core import RefusedError, UsageError
from napari_volseg.inference.folders import is_model_folder

PREFIX = "totalsegmentator:"
RELEASES = "https://github.com/wasserth/TotalSegmentator/releases/download"
LICENSE = "Apache-2.0"
COMMERCIAL = "a licence number of its makers, free for non-commercial use: see totalsegmentator.com"


@dataclass(frozen=True, slots=True)
class Part:
    """One network of a task.

    Parameters
    ----------
    folder
        Name of the folder of its weights.
    release
        Release that holds them, empty where they can't be downloaded without a licence number.
    labels
        What its output values 1, 2, … mean.
    """

    folder: str
    release: str
    labels: tuple[str, ...]

    def url(self, releases: str = RELEASES) -> str:
        """Return where its archive is downloaded from, empty where it can't be."""
        return f"{releases}/{self.release}/{self.folder}.zip" if self.release else ""

    def find(self, weights: Path) -> Path | None:
        """Return the model folder below a folder of weights, None where it is not there."""
        found = [folder for folder in sorted((weights / self.folder).glob("*")) if is_model_folder(folder)]
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Task:
    """What can be asked of TotalSegmentator.

    Parameters
    ----------
    name
        As TotalSegmentator calls it; coarser variants end with ``-fast`` or ``-fastest``.
    modality
        ``"CT"`` or ``"MR"``.
    labels
        What the values 1, 2, … of the result mean.
    parts
        The networks; where their labels overlap, later ones win.
    crop
        Labels of the coarse task around which the image is cut out first; empty for the whole image.
    margin_mm
        How far around them, mm.
    coarse
        Name of the coarse task.
    commercial
        Whether its weights need a licence number.
    """

    name: str
    modality: str
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    crop: tuple[str, ...] = ()
    margin_mm: float = 0.0
    coarse: str = ""
    commercial: bool = False

    @property
    def title(self) -> str:
        """Its name in words, such as ``"Total MR, fast"``."""
        base, _, speed = self.name.partition("-")
        words = [word.upper() if word in ("mr", "pp") else word for word in base.split("_")]
        text = " ".join([words[0].capitalize(), *words[1:]])
        return f"{text}, {speed}" if speed else text

    @property
    def weights_license(self) -> str:
        """Terms of its weights."""
        return COMMERCIAL if self.commercial else LICENSE

    @property
    def all_parts(self) -> tuple[Part, ...]:
        """Its networks and those of the coarse task that it needs first."""
        return (*self.parts, *(find_task(self.coarse).all_parts if self.coarse else ()))

    def missing(self, weights: Path) -> tuple[Part, ...]:
        """Return the networks whose weights are not in a folder."""
        return tuple(part for part in self.all_parts if part.find(weights) is None)


def weights_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which TotalSegmentator keeps its weights, by its own rules."""
    if own := environment.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(own)
    home = environment.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


@cache
def all_tasks() -> Mapping[str, Task]:
    """Return the tasks by name."""
    facts = json.loads(Path(__file__).with_name("totalsegmentator.json").read_text(encoding="utf-8"))
    releases, listed = facts["weights"], facts["tasks"]

    def part(number: int, labels: tuple[str, ...]) -> Part:
        folder, release = releases[str(number)]
        return Part(folder, release, labels)

    def task(name: str, entry: Mapping[str, Any]) -> Task:
        source = entry["labels"]
        labels = tuple(listed[source]["labels"] if isinstance(source, str) else source)
        return Task(
            name,
            entry["modality"],
            labels,
            tuple(part(number, tuple(own[0]) if own else labels) for number, *own in entry["parts"]),
            tuple(entry.get("crop", ())),
            float(entry.get("margin_mm", 0)),
            entry.get("coarse", ""),
            entry.get("commercial", False),
        )

    return {name: task(name, entry) for name, entry in listed.items()}


def find_task(name: str) -> Task:
    """Return a task by its name, with or without the prefix.

    Raises
    ------
    UsageError
        For a name that TotalSegmentator does not have.
    """
    tasks, plain = all_tasks(), name.removeprefix(PREFIX)
    if plain not in tasks:
        raise UsageError(f"TotalSegmentator has no task {plain!r}: choose {', '.join(sorted(tasks))}")
    return tasks[plain]


def need_parts(task: Task, parts: Sequence[Part], weights: Path) -> None:
    """Refuse networks of a task, or of what it needs first, whose weights are not there; say how to get them.

    Raises
    ------
    RefusedError
        With the command, or what to ask for.
    """
    wanted = {*parts, *(find_task(task.coarse).all_parts if task.coarse else ())}
    missing = [part for part in task.missing(weights) if part in wanted]
    if missing:
        name, part = PREFIX + task.name, missing[0]
        how = f"get them with: napari-volseg fetch {name}"
        how = how if part.release else f"put the folder {part.folder} there; getting it needs {COMMERCIAL}"
        raise RefusedError(f"the weights of {name} are not in {weights}: {how}", "model.absent")
