"""Supervision: the processes of a service, started in order, started again when they die, stopped in reverse.

Loading River, Faust and the web framework takes seconds, so each child has a spare: a process that has loaded everything
and waits for its turn. A child that dies is replaced by its spare at once, and a new spare is made when that one works.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from cli.process import PARENT, STANDBY
from runtime.logging import logger
from schemas.errors import Unavailable

log = logger("segue.up")
START_SECONDS = 40.0
STOP_SECONDS = 15.0
SETTLED_SECONDS = 2.0
LIVED_SECONDS = 10.0
"""Who lived that long and died does not keep dying."""


@dataclass
class Child:
    """One process: `segue NAME` with its environment."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    standby: bool = True
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    spare: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, or start again."""
        spare, self.spare = self.spare, None
        if spare is not None and spare.poll() is None and _go(spare):
            self.process = spare
        else:
            self.process = subprocess.Popen(self.command, env=self._environment(), stdin=subprocess.DEVNULL)
        self.started = time.monotonic()

    def prepare(self) -> None:
        """Make a spare, if there is none."""
        if self.spare is None or self.spare.poll() is not None:
            environment = self._environment() | {STANDBY: "1"}
            self.spare = subprocess.Popen(self.command, env=environment, stdin=subprocess.PIPE)

    def dismiss(self) -> None:
        """End the spare."""
        spare, self.spare = self.spare, None
        if spare is not None:
            spare.kill()
            spare.wait()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, PARENT: str(os.getpid())}

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
        child = Child(name, [sys.executable, "-m", *(module or ("cli.main", name))], environment, standby=not module)
        child.start()
        self.children.append(child)
        return child

    def tend(self) -> None:
        """Start again what died; a child that keeps dying is started ever more slowly."""
        for child in self.children:
            if child.process is None:
                continue
            if child.process.poll() is None:
                if child.standby and time.monotonic() - child.started > SETTLED_SECONDS:
                    child.prepare()
                continue
            pause = 0.1 * 2 ** min(child.deaths, 7)
            if time.monotonic() - child.started < pause:
                continue
            child.deaths = 0 if time.monotonic() - child.started > LIVED_SECONDS else child.deaths + 1
            log.warning("process died, starting it again", process=child.name, status=child.process.returncode)
            child.start()

    def stop(self) -> None:
        """SIGTERM in reverse order, so that nothing is taken in that nobody works on; SIGKILL after STOP_SECONDS."""
        for child in reversed(self.children):
            child.dismiss()
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


def _go(spare: subprocess.Popen[bytes]) -> bool:
    """Give a spare its turn; False when it is gone."""
    assert spare.stdin is not None
    try:
        spare.stdin.write(b"go\n")
        spare.stdin.close()
    except OSError:
        return False
    return True


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
            if status is not None and child.name == "gateway" and status == 2:
                raise Unavailable("gateway", "it did not start; its message is above")
        time.sleep(0.05)
    raise Unavailable("gateway", f"{url} did not become ready in {START_SECONDS:.0f} s")
