"""Simulated clicks over phantoms and real cases: one table, its JSON and a plot.

::

    python benchmarks/clicks.py --data FOLDER --json clicks.json [--table clicks.md] [--plot clicks.svg]
        [--engine E] [--groups ct3,mr] [--part all|tuned|held-out] [--no-baselines] [--no-prompts]

Structures are numbered within a group; those with even numbers may be looked at when the engine is changed, those
with odd numbers are held out. Cases of one structure alternate likewise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from click_groups import GROUPS
from numpy.typing import NDArray

from napari_volseg.core import UsageError, Volume
from napari_volseg.training.click_report import report, table, write_plot
from napari_volseg.training.evaluate_clicks import Setting, settings

PARTS = {"all": (0, 1), "tuned": (0,), "held-out": (1,)}


@dataclass(frozen=True, eq=False)
class Structure:
    """One thing to segment: the image, where it truly is (z, y, x), and what it is called."""

    volume: Volume
    reference: NDArray[np.bool_]
    name: str


def structures(group: str, data: Path, part: str, least: int) -> Iterator[Structure]:
    """Yield the structures of a group that belong to ``part`` and have at least ``least`` voxels."""
    number = 0
    for name, volume, labels in GROUPS[group](data):
        for value in np.unique(labels[labels > 0]):
            reference = labels == value
            if number % 2 in PARTS[part] and reference.sum() >= least:
                yield Structure(volume, reference, f"{name}: {value}")
            number += 1


def measure(chosen: list[Structure], setting: Setting, clicks: int, limit: int) -> dict:
    """Return the report of one setting over structures."""
    runs = []
    for number, each in enumerate(chosen):
        about = {"value": number, "name": each.name, "limit": limit}
        runs += setting.runs(each.volume, each.reference, clicks, **about)
    return report(setting.load().card.id, runs, clicks)


def measure_group(
    chosen: list[Structure], wanted: list[Setting], clicks: int, limit: int, tell: Callable[[str], None]
) -> dict[str, dict]:
    """Return the reports of all settings by title; a baseline whose package is absent is told and left out."""
    reports = {}
    for setting in wanted:
        try:
            title = replace(setting, engine=setting.load().card.id).title
        except UsageError as problem:
            tell(f"skipped: {problem}")
            continue
        reports[title] = measure(chosen, setting, clicks, limit)
        tell(table({title: reports[title]}).splitlines()[-1])
    return reports


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of real cases")
    parser.add_argument("--engine", default="default", help="its name, or a folder that train_clicks wrote")
    parser.add_argument("--groups", default=",".join(GROUPS), help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--part", choices=PARTS, default="all")
    parser.add_argument("--clicks", type=int, default=10)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--least", type=int, default=50, help="voxels of the smallest structure")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--no-prompts", action="store_true")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--plot", type=Path, help="SVG of the first group")
    options = parser.parse_args()
    wanted = settings(options.engine, not options.no_baselines, not options.no_prompts)
    reports = {}
    for group in options.groups.split(","):
        chosen = list(structures(group, options.data, options.part, options.least))
        if not chosen:
            print(f"{group}: no cases under {options.data}", flush=True)
            continue
        print(f"{group}: {len(chosen)} structures", flush=True)
        reports[group] = measure_group(chosen, wanted, options.clicks, options.limit, lambda t: print(t, flush=True))
        options.json.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
    if options.table:
        parts = [f"**{group}**\n\n{table(rows)}" for group, rows in reports.items()]
        options.table.write_text("\n".join(parts), encoding="utf-8")
    if options.plot and reports:
        write_plot(options.plot, next(iter(reports.values())))


if __name__ == "__main__":
    main()
