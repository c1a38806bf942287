"""Supervision: the processes of a service, started in order, started again when they die, stopped in reverse.

Ours are forked from a server that has loaded everything (`cli.forked`), so a process that died is back at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from cli.forked import Forked, Prelude
from runtime.logging import logger
from runtime.settings import PARENT
from schemas.errors import Unavailable

log = logger("segue.up")
START_SECONDS = 120.0
STOP_SECONDS = 15.0
MOST_FAILURES = 4
"""Of one process while the service starts."""
LIVED_SECONDS = 2.0
"""Who lived that long and died, or was told to stop, does not keep dying."""


@dataclass
class Child:
    """One process: `segue NAME` with its environment, after `prelude`; or the Python `module` given with its arguments."""

    name: str
    environment: Mapping[str, str]
    module: Sequence[str] = ()
    prelude: Prelude | None = None
    process: Forked | subprocess.Popen[bytes] | None = None
    started: float = 0.0
    died: float = 0.0
    deaths: int = 0
    failures: int = 0

    def start(self) -> None:
        """Start, or start again."""
        self.started, self.died = time.monotonic(), 0.0
        if not self.module:
            self.process = Forked(self.name, self.environment, self.prelude)
            return
        environment = {**os.environ, **self.environment, PARENT: str(os.getpid())}
        command = [sys.executable, "-m", *self.module]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        """Its process id; 0 when it does not run."""
        return self.process.pid if self.process is not None else 0


@dataclass
class Supervisor:
    """Keeps children running. `tend` is to be called now and then."""

    children: list[Child] = field(default_factory=list)

    def add(self, name: str, *, environment: Mapping[str, str], module: Sequence[str] = ()) -> Child:
        """Start `segue NAME`, or the Python module given with its arguments, and keep it running."""
        child = Child(name, environment, module)
        child.start()
        self.children.append(child)
        return child

    def tend(self) -> None:
        """Start again what died; a child that keeps dying is started ever more slowly, one that was told to stop at once."""
        for child in self.children:
            if child.process is None:
                continue
            if child.process.poll() is None:
                continue
            now, told = time.monotonic(), child.process.returncode == 0
            if not child.died:
                child.died = now
                child.deaths = 0 if told or now - child.started > LIVED_SECONDS else child.deaths + 1
                child.failures += not told
            if now - child.died < 0.1 * (2 ** min(child.deaths, 8) - 1):
                continue
            log.warning("process died, starting it again", process=child.name, status=child.process.returncode)
            child.start()

    def kill(self) -> None:
        """End all at once, so that `tend` starts them anew: what they know is not so any more."""
        for child in self.children:
            if child.process is not None:
                child.process.kill()

    def stop(self) -> None:
        """SIGTERM in reverse order, so that nothing is taken in that nobody works on; SIGKILL after STOP_SECONDS."""
        for child in reversed(self.children):
            if child.process is None or child.process.poll() is not None:
                continue
            child.process.terminate()
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                log.error("process did not stop, killing it", process=child.name)
                child.process.kill()
                child.process.wait()
        self.children.clear()


def wait_until_ready(url: str, supervisor: Supervisor) -> None:
    """Returns when the gateway says that it is ready. Raises Unavailable when it does not in START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health/ready", timeout=1.0).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        for child in supervisor.children:
            status = child.process.poll() if child.process else None
            if status == 2 or child.failures >= MOST_FAILURES:
                raise Unavailable(child.name, "it does not start; its message is above")
        supervisor.tend()
        time.sleep(0.05)
    raise Unavailable("gateway", f"{url} did not become ready in {START_SECONDS:.0f} s")
