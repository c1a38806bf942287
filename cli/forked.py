"""Processes that start in milliseconds: forked from a server that has loaded everything once, and does nothing else.

Loading River, Faust and the web framework takes seconds. The standard library's fork server (`multiprocessing`) loads the
modules named in `preload` and forks whoever is asked for. When its owner is gone those it made end (`cli.process` looks
after their `parent_process`), and with the last of them the server. One that was killed is started anew at the next start.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import connection
from subprocess import TimeoutExpired

FORKS = multiprocessing.get_context("forkserver")
Prelude = Callable[[], None]


def preload(modules: Sequence[str]) -> None:
    """Name what the server loads; of no effect once it runs."""
    FORKS.set_forkserver_preload(list(modules))


class Forked:
    """`segue NAME` in a forked process, with the methods of subprocess.Popen that a supervisor needs."""

    def __init__(self, name: str, environment: Mapping[str, str], prelude: Prelude | None = None) -> None:
        self._process = FORKS.Process(target=_live, args=(name, {**os.environ, **environment}, prelude), name=name)
        self._process.start()
        self._looking = threading.Lock()  # the exit status can be read once
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, -n for signal n; None while it runs."""
        return self.poll()

    def poll(self) -> int | None:
        """Exit status, -n for signal n; None while it runs."""
        with self._looking:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it ended. Raises TimeoutExpired after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutExpired(self._process.name, timeout or 0.0)
            connection.wait([self._process.sentinel], left)
        return status

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()


def _live(name: str, environment: Mapping[str, str], prelude: Prelude | None) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if prelude is not None:
        prelude()
    from cli.main import app

    app([name], prog_name="segue")
