"""`make bench-ledger KILLS=n BROKER=standalone|kafka`: faults at random while events flow, then the count of what was lost.

Also plants every bug of tests/protocol in the agents' code, one at a time, and counts how many the model of the protocol
finds. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import structlog

from benchmarks.asked import brokers, number, number_from
from runtime.logging import set_up_logging
from tests.faults import disk
from tests.faults.chaos import under_fire
from tests.faults.network import missing
from tests.faults.stage import faults_of
from tests.protocol.bugs import BUGS, find

RESULTS = Path(__file__).parent / "results"
MOST_TRIALS = 100


def planted() -> dict[str, Any]:
    """How many of the planted bugs are found."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    missed = [bug.name for bug in BUGS if find(bug, MOST_TRIALS) is None]
    return {"planted": len(BUGS), "planted_caught": len(BUGS) - len(missed), "planted_missed": missed}


def ledger(broker: str, kills: int, seed: int) -> dict[str, Any]:
    """One run on one broker."""
    lack = missing() if broker == "kafka" else "standalone"
    if broker == "kafka" and lack:
        print(f"No network faults: {lack}.", flush=True)
    random = Random(seed)
    room = disk.missing()
    if room:
        print(f"No full disks: {room}.", flush=True)
    kinds = faults_of(broker, network=lack is None, disk=room is None)
    faults = [kinds[n % len(kinds)] for n in range(kills)]
    random.shuffle(faults)
    with tempfile.TemporaryDirectory(prefix="segue-ledger-") as folder:
        rate = number_from("RATE", 220)
        return under_fire(broker, Path(folder), faults, rate=rate, seed=seed, network=lack is None, disk=room is None,
                          told=lambda line: print(line, flush=True))  # fmt: skip


def main() -> int:
    """Kills and broker from the command line."""
    set_up_logging("ledger", "pretty", "critical")
    kills, asked = number("KILLS", sys.argv[1]), brokers(sys.argv[2])
    seed = number_from("SEED", int(time.time()))
    report: dict[str, Any] = {"seed": seed}
    RESULTS.mkdir(exist_ok=True)
    dirty = False
    try:
        for broker in asked:
            print(f"{broker}: {kills} faults while events flow (seed {seed})", flush=True)
            found = ledger(broker, kills, seed)
            dirty |= any(
                found[name]
                for name in ("lost", "double", "phantom", "gaps", "conflicts", "rows_differ", "evidence_findings")
            )
            print(json.dumps({broker: found}), flush=True)
            # Processes of the service load this module, too, whenever one is started again: they need no plots.
            from benchmarks import service_plots

            service_plots.recoveries(found, RESULTS / f"ledger-{broker}.png")
            report = report | found | {"broker": broker} if len(asked) == 1 else report | {broker: found}
        print("Planting bugs in the agents' code, one at a time ...", flush=True)
        report |= planted()
    except Exception as fault:
        print(json.dumps({**report, "error": f"{type(fault).__name__}: {fault}"}))
        return 1
    (RESULTS / f"ledger-{'-'.join(asked)}.json").write_text(json.dumps(report, indent=1) + "\n")
    if dirty or report["planted_missed"]:
        report["error"] = "the ledger is not clean"
    print(json.dumps(report))
    return 1 if "error" in report else 0


if __name__ == "__main__":
    sys.exit(main())
