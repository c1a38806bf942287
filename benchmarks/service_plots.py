"""The pictures of the benches of the running service: latency, throughput, recoveries, scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

OURS, PEERS, OTHERS = "#0b5cad", "#444444", "#b9c7d6"
COLOURS = {"segue": OURS, "edge": OTHERS, "echo": PEERS}


def latency(report: dict[str, Any], folder: Path) -> None:
    """Write latency.png: p50 (dot) and p99 (end of the line) by system, one panel a broker and rate."""
    panels = [
        (broker, rate, found)
        for broker in ("standalone", "kafka")
        for rate, found in report.get(broker, {}).items()
        if rate.isdigit()
    ]
    figure, grid = plt.subplots(1, len(panels), figsize=(2.9 * len(panels), 3.4), squeeze=False)
    for axes, (broker, rate, found) in zip(grid.flat, panels, strict=True):
        for name, colour in COLOURS.items():
            p50, p99 = found[f"{name}_p50"], found[f"{name}_p99"]
            axes.plot([name], [p50], "o", color=colour)
            axes.vlines(name, p50, p99, color=colour)
            axes.annotate(f"{p50:.1f} / {p99:.0f}", (name, p99), ha="center", va="bottom", fontsize=7)
        axes.set_yscale("log")
        axes.margins(x=0.3, y=0.15)
        axes.set_title(f"{broker}, {rate}/s: p50, p99 in ms", fontsize=8)
    _save(figure, folder / "latency.png")


def throughput(report: dict[str, Any], folder: Path) -> None:
    """Write throughput.png: CPU an event by system."""
    names = [name for name in ("echo", "segue", "quixstreams", "faust_table") if name in report]
    figure, axes = plt.subplots(figsize=(6.0, 2.4))
    axes.barh(names, [report[name]["cpu_us_per_event"] for name in names],
              color=[OURS if name == "segue" else OTHERS for name in names])  # fmt: skip
    axes.axvline(report["model_us_per_event"], color=PEERS, linestyle=":")
    axes.invert_yaxis()
    axes.set_title("CPU microseconds an event, flat out; dotted: the step alone", fontsize=9)
    _save(figure, folder / "throughput.png")


def recoveries(report: dict[str, Any], path: Path) -> None:
    """Write how long after a fault decisions came again in every partition: p50 (bar) to p95 (line), by fault."""
    by_fault = dict(sorted(report["by_fault"].items(), key=lambda each: float(each[1]["p50_s"])))
    figure, axes = plt.subplots(figsize=(7.0, 0.26 * len(by_fault) + 1.0))
    for name, found in by_fault.items():
        _bar(axes, f"{name} ({found['n']})", found["p50_s"], found["p95_s"])
    axes.set_title("Seconds until every partition decides again, p50 to p95, by fault (times)", fontsize=9)
    _save(figure, path)


def scale(report: dict[str, Any], folder: Path) -> None:
    """Write scale.png: CPU an event (bars) and p99 (dots) of every point."""
    found = report["points"]
    names = [f"{p['broker']}\n{p['learners']:,} learners\n{p['workers']} w, {p['streams']:,} s" for p in found]
    figure, axes = plt.subplots(figsize=(1.25 * len(names) + 1.0, 3.4))
    bottom = [0.0] * len(names)
    for part, colour in (("worker", OURS), ("gateway", "#7fa8d1"), ("store", OTHERS)):
        heights = [p[f"{part}_us"] for p in found]
        axes.bar(names, heights, bottom=bottom, color=colour, label=f"{part}, us an event")
        bottom = [low + high for low, high in zip(bottom, heights, strict=True)]
    beside = axes.twinx()
    beside.plot(names, [p["p99_ms"] for p in found], "o", color=PEERS, label="p99, ms")
    beside.set_ylim(bottom=0)
    axes.tick_params(axis="x", labelsize=7)
    figure.legend(loc="upper center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    figure.savefig(folder / "scale.png", dpi=110)
    plt.close(figure)


def _bar(axes: Axes, name: str, p50: float, p95: float) -> None:
    axes.barh(name, p50, color=OURS, height=0.6)
    axes.hlines(name, p50, p95, color=PEERS)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
