"""`make test` and `make check`: run the steps, say which failed, end with one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent
CHECKS = (
    ("format", [str(BIN / "ruff"), "format", "--check", "."]),
    ("lint", [str(BIN / "ruff"), "check", "."]),
    ("types", [str(BIN / "mypy")]),
    ("layers", [str(BIN / "lint-imports"), "--no-logo"]),
    ("links", [sys.executable, "-m", "tests.links"]),
)


class Counter:
    """A pytest plugin that counts what became of the tests."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
            self.counts[report.outcome] += 1
        elif report.outcome == "failed":
            self.counts["failed"] += 1


def failed_checks() -> list[str]:
    """Run the static checks; the names of those that failed."""
    failed = []
    for name, command in CHECKS:
        start = time.perf_counter()
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"{name:8} {'ok' if ran.returncode == 0 else 'FAILED':6} {time.perf_counter() - start:5.1f} s", flush=True)
        if ran.returncode != 0:
            print(ran.stdout + ran.stderr, flush=True)
            failed.append(name)
    return failed


def main() -> int:
    """Exit code 0 only if everything held."""
    counter = Counter()
    failed = failed_checks() if "--check" in sys.argv else []
    status = int(pytest.main([a for a in sys.argv[1:] if a != "--check"], plugins=[counter]))
    report: dict[str, Any] = dict(counter.counts)
    if failed:
        report["error"] = f"failed: {', '.join(failed)}"
    elif status != 0:
        report["error"] = f"pytest ended with {status}"
    print(f"{report['passed']} passed, {report['failed'] + len(failed)} failed, {report['skipped']} skipped")
    print(json.dumps(report))
    return 1 if failed or status else 0


if __name__ == "__main__":
    sys.exit(main())
