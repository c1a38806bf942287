"""Pictures of `make bench-knowledge`: reliability diagrams and learning curves, one PNG each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLOURS = {
    "segue": "#0b5cad",
    "segue_versions": "#6aa7e0",
    "elo": "#b35900",
    "best_lr": "#2e7d32",
    "per_learner_lr": "#8e8e8e",
}


def plot(details: list[dict[str, Any]], folder: Path) -> None:
    """Write knowledge-reliability.png and knowledge-curves.png."""
    details = sorted(details, key=lambda each: (each["name"], each["protocol"]))
    for name, draw in (("reliability", _reliability), ("curves", _curves)):
        columns = min(4, len(details))
        rows = -(-len(details) // columns)
        figure, grid = plt.subplots(rows, columns, figsize=(4 * columns, 3.6 * rows), squeeze=False)
        for axes, each in zip(grid.flat, details, strict=False):
            draw(axes, each)
            axes.set_title(f"{each['name']}, {each['protocol']}", fontsize=9)
        for axes in grid.flat[len(details) :]:
            axes.set_visible(False)
        grid.flat[0].legend(fontsize=7)
        figure.tight_layout()
        figure.savefig(folder / f"knowledge-{name}.png", dpi=110)
        plt.close(figure)


def _reliability(axes: Axes, each: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=1)
    for name, bins in each["reliability"].items():
        axes.plot([b[0] for b in bins], [b[1] for b in bins], marker=".", color=COLOURS[name], linewidth=1, label=name)
    axes.set_xlabel("predicted")
    axes.set_ylabel("share right")


def _curves(axes: Axes, each: dict[str, Any]) -> None:
    for name, losses in each["curve"].items():
        shown = [(n + 1, loss) for n, loss in enumerate(losses) if loss is not None]
        axes.plot([n for n, _ in shown], [loss for _, loss in shown], color=COLOURS[name], linewidth=1, label=name)
    axes.set_xlabel("nth response of a learner")
    axes.set_ylabel("log loss")
    axes.set_ylim(top=1.0)
