"""The picture of `make bench-policy`: minutes to 80 % by policy, one panel a world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot(report: dict[str, Any], folder: Path) -> None:
    """Write policy.png."""
    worlds = report["worlds"]
    columns = min(3, len(worlds))
    rows = -(-len(worlds) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(4.4 * columns, 3.6 * rows), squeeze=False)
    for axes, (world, policies) in zip(grid.flat, worlds.items(), strict=False):
        names = sorted(policies, key=lambda name: policies[name]["minutes_to_80"])
        minutes = [policies[name]["minutes_to_80"] for name in names]
        colours = ["#0b5cad" if name == "segue" else "#444444" if name == "oracle" else "#b9c7d6" for name in names]
        axes.barh(names, minutes, color=colours)
        axes.invert_yaxis()
        axes.set_title(f"{world}: median minutes to 80 %", fontsize=9)
    for axes in grid.flat[len(worlds) :]:
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(folder / "policy.png", dpi=110)
    plt.close(figure)
