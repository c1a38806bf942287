"""`make bench-knowledge DATA=dir`: the learner model on real logs, beside Elo, best-LR and a logistic regression a learner.

Every response is predicted before it is learned from. The model is the service's own: the row from bytes to bytes, the
population learned from learning records. Times are medians over blocks of 500 responses; `us_quiet` is the tenth
percentile, `river_lr_us` what River's logistic regression took in the same blocks. `segue_versions` predicts with versions
cut every 256 responses, as the service does. Writes benchmarks/results/knowledge.json and plots beside it; the last line
printed is JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from river.linear_model import LogisticRegression

from agents.lessons import EVERY_RESPONSES
from benchmarks import measures
from benchmarks.detectors import detectors
from benchmarks.knowledge_plots import plot
from benchmarks.learner_logs import Log, read_log
from benchmarks.rivals import BestLR, Elo, Model, PerLearnerLR
from models.classifier import step
from models.features import NAMES
from models.population import Population
from models.population_learner import PopulationLearner
from models.response import Heard, Response, at_offset, lesson
from models.row import Row
from runtime.compiled import form

RESULTS = Path(__file__).parent / "results"
RIVALS: dict[str, type] = {"elo": Elo, "best_lr": BestLR, "per_learner_lr": PerLearnerLR}
BLOCK = 500
FIRST = 5
CURVE = 40
QUICK_LEARNERS = 120
MOST_BATCHED = 100_000
ROUNDS = 400


@dataclass
class Score:
    """Predictions of one model over an order, with what they cost."""

    predicted: list[float] = field(default_factory=list)
    us_per_event: float = 0.0
    us_quiet: float = 0.0
    learn_us: float = 0.0
    river_lr_us: float = 0.0
    row_bytes: list[int] = field(default_factory=list)


def segue(log: Log, order: list[int], every: int = 0) -> Score:
    """Our model. `every` 0: the population as it is now; else versions cut after so many responses."""
    population, rows, score = PopulationLearner("", "", Population.empty()), dict[str, bytes](), Score()
    clock, steps, learns, rivers = time.perf_counter, list[float](), list[float](), list[float]()
    river = RiverRound()
    for start in range(0, len(order), BLOCK):
        stepped = learned = 0.0
        block = order[start : start + BLOCK]
        for number, place in enumerate(block, start):
            learner, response = log.learners[place], log.responses[place]
            shared = population.version if every else population
            begin = clock()
            packed = rows.get(learner)
            row = Row() if packed is None else Row.unpack(packed)
            heard = step(row, response, shared)
            rows[learner] = row.pack()
            middle = clock()
            record = _record(response, heard, number)
            before_learning = clock()
            population.learn_one(record)
            end = clock()
            stepped, learned = stepped + middle - begin, learned + end - before_learning
            score.predicted.append(heard.predicted.p)
            if every and (number + 1) % every == 0:
                population.cut()
        steps.append(stepped / len(block) * 1e6)
        learns.append(learned / len(block) * 1e6)
        rivers.append(river.us())
    score.us_per_event, score.learn_us, score.river_lr_us = median(steps), median(learns), median(rivers)
    score.us_quiet = sorted(steps)[len(steps) // 10]
    score.row_bytes = [len(packed) for packed in rows.values()]
    return score


def _record(response: Response, heard: Heard, number: int) -> Any:
    return lesson(response, heard, at_offset(number))


def rival(model: Model, log: Log, order: list[int]) -> Score:
    """One of the others: predicting and learning in one."""
    score, blocks = Score(), []
    for start in range(0, len(order), BLOCK):
        block, begin = order[start : start + BLOCK], time.perf_counter()
        score.predicted += [model(log.learners[place], log.responses[place]) for place in block]
        blocks.append((time.perf_counter() - begin) / len(block) * 1e6)
    score.us_per_event = median(blocks)
    return score


def measure(path: Path, protocol: str, quick: bool) -> dict[str, Any]:
    """All models on one file by one protocol."""
    log = read_log(path, QUICK_LEARNERS if quick else None)
    assert log is not None
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    order = log.order(protocol)
    counted = np.array(log.scored(protocol, order))
    y = np.array([float(log.responses[place].correct) for place in order])[counted]
    learner = np.unique([log.learners[place] for place in order], return_inverse=True)[1][counted]
    learner = np.unique(learner, return_inverse=True)[1]
    nth = np.array(list(_nth(log, order)))[counted]
    scores = {"segue": segue(log, order)}
    if protocol == "cold" and len(order) <= MOST_BATCHED:
        scores["segue_versions"] = segue(log, order, EVERY_RESPONSES)
    scores |= {name: rival(made(), log, order) for name, made in RIVALS.items()}
    arrays = {name: np.array(score.predicted)[counted] for name, score in scores.items()}
    found: dict[str, Any] = {}
    for name, score in scores.items():
        p = arrays[name]
        early = nth < FIRST
        found[name] = {
            "auc": round(measures.auc(p, y), 4),
            "log_loss": round(measures.log_loss(p, y), 4),
            "ece": round(measures.ece(p, y), 4),
            "auc_first5": round(measures.auc(p[early], y[early]), 4),
            "us_per_event": round(score.us_per_event, 1),
        }
        if name.startswith("segue"):
            found[name] |= {"us_quiet": round(score.us_quiet, 1), "river_lr_us": round(score.river_lr_us, 1),
                            "learn_us": round(score.learn_us, 1), "row_bytes": int(median(score.row_bytes)),
                            "row_bytes_max": max(score.row_bytes)}  # fmt: skip
        if name in RIVALS:
            low, high = measures.difference(arrays["segue"], p, y, learner, ROUNDS, seed=1)
            found[name]["segue_minus_this"] = [round(low, 4), round(high, 4)]
    return {
        "name": path.stem, "protocol": protocol, "responses": len(y), "learners": int(learner.max()) + 1, "models": found,
        "reliability": {name: measures.reliability(p, y) for name, p in arrays.items()},
        "curve": {name: _curve(p, y, nth) for name, p in arrays.items()},
    }  # fmt: skip


def _nth(log: Log, order: list[int]) -> Iterator[int]:
    """How many responses each learner gave before, in an order."""
    seen: Counter[str] = Counter()
    for place in order:
        yield seen[log.learners[place]]
        seen[log.learners[place]] += 1


def _curve(p: measures.Floats, y: measures.Floats, nth: Any) -> list[float | None]:
    """Log loss by how many responses the learner gave before."""
    return [measures.log_loss(p[nth == n], y[nth == n]) if np.any(nth == n) else None for n in range(CURVE)]


class RiverRound:
    """River's logistic regression with as many features as ours have names: how quick this machine is just now."""

    def __init__(self) -> None:
        self._model = LogisticRegression()
        self._x = {name: 0.1 * n for n, name in enumerate(NAMES)}

    def us(self, rounds: int = 25) -> float:
        """Microseconds to predict and learn once."""
        begin = time.perf_counter()
        for _ in range(rounds):
            self._model.predict_proba_one(self._x)
            self._model.learn_one(self._x, True)
        return (time.perf_counter() - begin) / rounds * 1e6


def _files(folder: Path) -> list[Path]:
    """Logs of the documented columns, the largest first."""
    found = []
    for path in sorted(folder.glob("*.parquet"), key=lambda p: -p.stat().st_size):
        if read_log(path, 1) is None:
            print(f"{path.name} has not the documented columns; left out.", flush=True)
        else:
            found.append(path)
    return found


def _behaviour(folder: Path, most: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in _files(folder):
        log = read_log(path, most)
        if log is None or len(log.responses) > MOST_BATCHED or all(r.latency_ms is None for r in log.responses):
            continue
        found = detectors(log)
        if found is not None:
            print(f"behaviour, {log.name}: {found}", flush=True)
            yield log.name, found


def main() -> int:
    """The folder from the command line."""
    quick = bool(os.environ.get("QUICK"))
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else None
    if folder is None or not folder.is_dir():
        print(json.dumps({"error": f"no data folder {folder}: make bench-knowledge DATA=folder with parquet files"}))
        return 2
    report: dict[str, Any] = {"quick": quick, "models": form(), "datasets": {}}
    tasks = []
    for path in _files(folder):
        log = read_log(path, QUICK_LEARNERS if quick else None)
        assert log is not None
        tasks += [(path, protocol) for protocol in log.protocols()]
    if not tasks:
        print(json.dumps({"error": f"no parquet file of the documented columns in {folder}"}))
        return 2
    print(f"{len(tasks)} runs{', the first learners only (QUICK=1): less certain' if quick else ''} ...", flush=True)
    details = []
    for number, (path, protocol) in enumerate(tasks, 1):
        found = measure(path, protocol, quick)
        details.append(found)
        report["datasets"].setdefault(found["name"], {})[protocol] = found["models"]
        _tell(found, number, len(tasks))
    report["behaviour"] = dict(_behaviour(folder, QUICK_LEARNERS if quick else None))
    RESULTS.mkdir(exist_ok=True)
    plot(details, RESULTS)
    name = "knowledge-quick.json" if quick else "knowledge.json"
    (RESULTS / name).write_text(json.dumps(report | {"details": details}, indent=1) + "\n")
    print(json.dumps(report))
    return 0


def _tell(found: dict[str, Any], done: int, of: int) -> None:
    print(f"\n{done} of {of}  {found['name']}, {found['protocol']}: {found['responses']:,} responses of "
          f"{found['learners']:,} learners", flush=True)  # fmt: skip
    for name, each in found["models"].items():
        versus = each.get("segue_minus_this")
        print(f"  {name:15} auc {each['auc']:.4f}  first five {each['auc_first5']:.4f}  log loss {each['log_loss']:.4f}  "
              f"ece {each['ece']:.3f}  {each['us_per_event']:6.1f} us"
              + (f"  (River's LR {each['river_lr_us']:.1f} us)" if "river_lr_us" in each else "")
              + (f"  segue better by {versus[0]:+.4f} to {versus[1]:+.4f}" if versus else ""), flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
