"""Supervision: what died is started again with its environment, exit statuses are told, nothing outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cli.forked import Forked
from cli.supervisor import MOST_FAILURES, Child, Supervisor, wait_until_ready
from schemas.errors import Unavailable


def work(said: Path) -> None:
    """A part that says that it works, and does so until it is told to stop."""
    with said.open("a") as file:
        file.write(f"{os.getpid()} {os.environ['PART']}\n")
    signal.pause()


def lines(said: Path) -> list[list[str]]:
    return [line.split() for line in said.read_text().splitlines()] if said.exists() else []


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)


def tended(supervisor: Supervisor) -> bool:
    supervisor.tend()
    return True


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor()
    yield made
    made.stop()


def test_a_process_that_was_killed_is_started_again_with_its_environment(tmp_path: Path, supervisor: Supervisor) -> None:
    said = tmp_path / "said"
    child = Child("part", {"PART": "seven"}, prelude=partial(work, said))
    child.start()
    supervisor.children.append(child)
    until(lambda: len(lines(said)) == 1)
    os.kill(child.pid, signal.SIGKILL)
    until(lambda: tended(supervisor) and len(lines(said)) == 2)
    (first, part), (second, again) = lines(said)
    assert first != second and second == str(child.pid)
    assert part == again == "seven"


def fall(said: Path) -> None:
    """A part that dies as soon as it has started."""
    with said.open("a") as file:
        file.write("up\n")
    os._exit(3)


def test_who_keeps_dying_is_started_ever_more_slowly_and_who_was_told_to_stop_is_not(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    bad = Child("bad", {}, prelude=partial(fall, tmp_path / "bad"))
    bad.start()
    supervisor.children.append(bad)
    until(lambda: tended(supervisor) and bad.deaths >= 3)
    starts = len(lines(tmp_path / "bad"))
    assert starts <= bad.deaths + 1
    good = Child("part", {"PART": "one"}, prelude=partial(stopped_cleanly, tmp_path / "good"))
    good.start()
    supervisor.children[:] = [good]
    for number in range(1, 5):
        until(lambda number=number: len(lines(tmp_path / "good")) == number)  # type: ignore[misc]
        os.kill(good.pid, signal.SIGTERM)
        until(lambda number=number: tended(supervisor) and len(lines(tmp_path / "good")) > number)  # type: ignore[misc]
    assert good.deaths == 0


def test_who_lived_and_died_is_started_at_once_and_who_never_lives_rests_from_its_death(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.supervisor.LIVED_SECONDS", 1e9)
    bad = Child("bad", {}, prelude=partial(fall, tmp_path / "bad"))
    bad.start()
    supervisor.children.append(bad)
    for deaths in range(1, 4):
        until(lambda deaths=deaths: tended(supervisor) and bad.deaths == deaths)  # type: ignore[misc]
        died = bad.died
        until(lambda died=died: tended(supervisor) and bad.died != died)  # type: ignore[misc]
        assert bad.started - died >= 0.1 * (2**deaths - 1)
    monkeypatch.setattr("cli.supervisor.LIVED_SECONDS", -1.0)
    until(lambda: tended(supervisor) and bad.deaths == 0)


def test_who_does_not_start_is_named_long_before_the_service_is_given_up(tmp_path: Path, supervisor: Supervisor) -> None:
    bad = Child("worker", {}, prelude=partial(fall, tmp_path / "bad"))
    bad.start()
    supervisor.children.append(bad)
    with pytest.raises(Unavailable, match="worker is unavailable"):
        wait_until_ready("http://127.0.0.1:1", supervisor)
    assert bad.failures == MOST_FAILURES


def test_who_died_often_and_is_then_told_to_stop_is_started_at_once(tmp_path: Path, supervisor: Supervisor) -> None:
    part = Child("part", {"PART": "one"}, prelude=partial(stopped_cleanly, tmp_path / "said"))
    part.start()
    part.deaths = 7  # as after kills in a row
    supervisor.children.append(part)
    until(lambda: len(lines(tmp_path / "said")) == 1)
    before = part.process
    assert before is not None
    before.terminate()
    until(lambda: before.poll() == 0 and time.monotonic() - part.started > 0.1)
    supervisor.tend()
    assert part.process is not before and part.deaths == 0


def stopped_cleanly(said: Path) -> None:
    """A part that ends with status 0 when it is told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    work(said)


def test_the_exit_status_is_that_of_the_command() -> None:
    assert Forked("no-such-command", {}).wait(30) == 2
    assert Forked("--help", {}).wait(30) == 0


def test_a_signal_is_told_as_its_negative_and_waiting_has_an_end(tmp_path: Path) -> None:
    part = Forked("part", {"PART": "one"}, partial(work, tmp_path / "said"))
    with pytest.raises(subprocess.TimeoutExpired):
        part.wait(0.05)
    until(lambda: len(lines(tmp_path / "said")) == 1)
    part.kill()
    assert part.wait(30) == part.poll() == part.returncode == -signal.SIGKILL


def test_what_a_supervisor_started_does_not_outlive_it(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(
        "import signal, sys\n"
        "from cli.forked import Forked\n"
        "if __name__ == '__main__':\n"
        "    made = Forked('gateway', {'SEGUE_KEY': 'k', 'SEGUE_PORT': '0', 'SEGUE_REDIS_URL': sys.argv[1]})\n"
        "    print(made.pid, flush=True)\n"
        "    signal.pause()\n"
    )
    from streams.engine import Engine

    engine = Engine(tmp_path / "d")
    engine.start()
    try:
        owner = subprocess.Popen([sys.executable, str(script), engine.url], stdout=subprocess.PIPE, cwd=Path.cwd(),
                                 env={**os.environ, "PYTHONPATH": str(Path.cwd())})  # fmt: skip
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert alive(pid)
        owner.kill()
        owner.wait()
        owner.stdout.close()
        until(lambda: not alive(pid))
    finally:
        engine.stop()
