"""The commands as people type them: help with examples, sentences for errors, exit codes that mean something."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "personal-data.yaml"


def segue(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}, timeout=120
    )


COMMANDS = ("up", "worker", "gateway", "demo", "simulate", "replay", "explain", "course check", "course publish")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    ran = segue(*command.split(), "--help")
    assert ran.returncode == 0 and "Example:" in ran.stdout


def test_a_good_course_is_said_to_be_good_also_as_json() -> None:
    ran = segue("course", "check", str(SAMPLE), "--json")
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["errors"] == 0


def test_a_broken_course_is_a_problem_with_readable_findings(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("id: c\nversion: '1'\nsegments: [{id: x, prerequisites: [{segment: nowhere}]}]")
    ran = segue("course", "check", str(file))
    assert ran.returncode == 1 and "no segment 'nowhere'" in ran.stdout


def test_a_second_service_is_told_that_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        ran = segue("up", SEGUE_PORT=str(taken.getsockname()[1]), SEGUE_DATA=str(tmp_path / "data"))
    assert ran.returncode == 2 and "SEGUE_PORT" in ran.stderr and "is up" not in ran.stdout
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["course", "check", "none.yaml"], {}, "cannot be read"),
        (["replay", "none.parquet"], {}, "There is no file"),
        (["gateway"], {"SEGUE_REDIS_URL": "redis://127.0.0.1:1"}, "SEGUE_KEY"),
        (["worker"], {"SEGUE_PARTITIONS": "many", "SEGUE_PORT": "-1"}, "SEGUE_PORT"),
        (["worker"], {"SEGUE_BROKER": "kafka"}, "SEGUE_REDIS_URL"),
        (["gateway"], {"SEGUE_KEY": "k", "SEGUE_HOST": "0.0.0.0"}, "loopback"),
    ],
)
def test_calling_wrongly_is_a_sentence_and_exit_code_2(arguments: list[str], environment: dict[str, str], said: str) -> None:
    ran = segue(*arguments, **environment)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert said in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_failing_replay_ends_with_one_json_object() -> None:
    ran = segue("replay", "none.parquet")
    assert "error" in json.loads(ran.stdout.splitlines()[-1])


def test_up_serves_until_it_is_told_to_stop_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "up", "--port", "0", "--data", str(tmp_path), "--course", str(SAMPLE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    url = process.stdout.readline().split(" at ")[1].split()[0]
    key = process.stdout.readline().split()[-1]
    answer = httpx.get(f"{url}/v1/courses", headers={"Authorization": f"Bearer {key}"})
    assert [course["id"] for course in answer.json()] == ["personal-data"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/health/live", timeout=1)
    deadline = time.monotonic() + 5
    while (tmp_path / "valkey.sock").exists() and time.monotonic() < deadline:
        pass
    assert not (tmp_path / "valkey.sock").exists()


def test_a_store_made_with_other_partitions_is_refused(tmp_path: Path) -> None:
    from streams.engine import Engine

    engine = Engine(tmp_path)
    engine.start()
    try:
        url = {"SEGUE_REDIS_URL": engine.url, "SEGUE_KEY": "k"}
        import redis

        with redis.Redis.from_url(engine.url) as client:
            client.set("segue:{shared}:partitions", 3)
        ran = segue("gateway", **url)
        assert ran.returncode == 2 and "SEGUE_PARTITIONS=3" in ran.stderr
    finally:
        engine.stop()
