"""From runs of simulated users to figures, a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from napari_volseg.training.click_runs import GOALS, SURFACE_AT, ClickRun, by_click

#: Prompts after which tables tell the Dice coefficient.
SHOWN = (1, 3, 5, 10)
_RESAMPLINGS = 2000
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_WIDTH, _HEIGHT, _LEFT, _TOP, _LINE = 640, 400, 60, 20, 18


def report(engine: str, runs: Sequence[ClickRun], clicks: int) -> dict[str, Any]:
    """Return the figures of all runs as plain values for JSON; ``macro`` weighs each segment alike.

    Intervals are those of 95 % of resamplings of the structures (percentile bootstrap). A goal that a structure never
    reached counts as the most prompts that were allowed, and in the failure rate.
    """
    seconds = [s for run in runs for s in run.seconds]
    scores = _by_structure(runs, clicks)
    low, high = confidence(scores)
    return {
        "engine": engine,
        "clicks": clicks,
        "segments": {str(run.value): run.as_dict(clicks) for run in runs},
        "macro": {
            "dsc": by_click(scores.mean(0).tolist()),
            "dsc_low": by_click(low.tolist()),
            "dsc_high": by_click(high.tolist()),
            "nsd": _mean([run.nsd for run in runs]),
            "auc": _mean([run.auc for run in runs]),
            "noc": {str(goal): _goal(runs, goal / 100) for goal in GOALS},
        },
        "harmful": {
            "count": sum(run.harmful(clicks) for run in runs),
            "share": sum(run.harmful(clicks) for run in runs) / max(1, len(runs) * (clicks - 1)),
        },
        "honoured": float(np.mean([run.honoured for run in runs])),
        "latency": {"p50": float(np.percentile(seconds, 50)), "p95": float(np.percentile(seconds, 95))},
    }


def confidence(scores: NDArray[np.float64], seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bounds (m,) of the means of ``scores`` (structures, m): 95 % of resamplings of the structures."""
    random = np.random.default_rng(seed)
    drawn = random.integers(len(scores), size=(_RESAMPLINGS, len(scores)))
    low, high = np.percentile(scores[drawn].mean(1), (2.5, 97.5), axis=0)
    return low, high


def _by_structure(runs: Sequence[ClickRun], clicks: int) -> NDArray[np.float64]:
    """Return the Dice coefficients (structures, clicks), the mean of all users of a structure."""
    values = list(dict.fromkeys(run.value for run in runs))
    each = [[[run.after(n + 1) for n in range(clicks)] for run in runs if run.value == value] for value in values]
    return np.asarray([np.mean(users, axis=0) for users in each])


def table(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table, a row for each named report."""
    overlap, effort = (f"DSC@{n}" for n in SHOWN), (f"NoC{g} (fail)" for g in GOALS)
    head = ["", "n", *overlap, f"NSD@{SURFACE_AT}", "AUC", *effort, "harmful", "honoured", "p50 / p95 s"]
    rows = [head, ["---"] * len(head), *(_row(name, figures) for name, figures in reports.items())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def write_plot(path: Path, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Write an SVG plot of the mean Dice coefficient by the number of prompts, with its interval, a line a report."""
    most = max(int(figures["clicks"]) for figures in reports.values())
    parts = [_axes(most)]
    for k, (name, figures) in enumerate(reports.items()):
        parts.append(_curve(figures["macro"], most, _COLORS[k % len(_COLORS)]))
        y = _HEIGHT - 40 - _LINE * (len(reports) - k)
        color = _COLORS[k % len(_COLORS)]
        parts.append(f'<rect x="{_WIDTH - 230}" y="{y - 9}" width="14" height="10" fill="{color}"/>')
        parts.append(f'<text x="{_WIDTH - 210}" y="{y}">{escape(name)}</text>')
    style = 'font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {style}>'
    ground = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    path.write_text("\n".join([head, ground, *parts, "</svg>\n"]), encoding="utf-8")


def _goal(runs: Sequence[ClickRun], goal: float) -> dict[str, float]:
    counts = [run.prompts_to(goal) for run in runs]
    mean = np.mean([run.limit if count is None else count for run, count in zip(runs, counts, strict=True)])
    return {"mean": float(mean), "failures": counts.count(None) / len(counts), "limit": runs[0].limit}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _row(name: str, figures: Mapping[str, Any]) -> list[str]:
    macro = figures["macro"]
    noc = (macro["noc"][str(goal)] for goal in GOALS)
    return [
        name,
        str(len(figures["segments"])),
        *(_interval(macro, str(n)) for n in SHOWN),
        _number(macro["nsd"]),
        _number(macro["auc"]),
        *(f"{n['mean']:.1f} ({n['failures']:.0%})" for n in noc),
        f"{figures['harmful']['share']:.0%}",
        f"{figures['honoured']:.0%}",
        f"{figures['latency']['p50']:.2f} / {figures['latency']['p95']:.2f}",
    ]


def _interval(macro: Mapping[str, Any], count: str) -> str:
    if count not in macro["dsc"]:
        return ""
    return f"{macro['dsc'][count]:.2f} ({macro['dsc_low'][count]:.2f}–{macro['dsc_high'][count]:.2f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _place(count: int, score: float, most: int) -> str:
    x = _LEFT + (_WIDTH - _LEFT - 20) * (count - 1) / max(1, most - 1)
    return f"{x:.1f},{_TOP + (_HEIGHT - _TOP - 50) * (1 - score):.1f}"


def _axes(most: int) -> str:
    parts = []
    for tenth in range(0, 11, 2):
        _, y = _place(1, tenth / 10, most).split(",")
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - 20}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{float(y) + 4}" text-anchor="end">{tenth / 10:.1f}</text>')
    for count in range(1, most + 1):
        x, y = _place(count, 0, most).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 18}" text-anchor="middle">{count}</text>')
    middle = (_LEFT + _WIDTH - 20) // 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">prompts</text>')
    turned = f'text-anchor="middle" transform="rotate(-90 16 {_HEIGHT // 2})"'
    parts.append(f'<text x="16" y="{_HEIGHT // 2}" {turned}>mean Dice coefficient</text>')
    return "\n".join(parts)


def _curve(macro: Mapping[str, Any], most: int, color: str) -> str:
    def line(key: str) -> list[str]:
        return [_place(int(count), score, most) for count, score in macro[key].items()]

    band = " ".join(line("dsc_low") + line("dsc_high")[::-1])
    mean = " ".join(line("dsc"))
    return (
        f'<polygon points="{band}" fill="{color}" opacity="0.12"/>'
        f'<polyline points="{mean}" fill="none" stroke="{color}" stroke-width="2"/>'
    )
