"""The commands as people type them: help with examples, sentences for errors, exit codes that mean something."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
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


def test_up_serves_with_one_worker_until_it_is_told_to_stop_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.main", "up", "--port", "0", "--data", str(tmp_path), "--course", str(SAMPLE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    url = process.stdout.readline().split(" at ")[1].split()[0]
    key = process.stdout.readline().split()[-1]
    answer = httpx.get(f"{url}/v1/courses", headers={"Authorization": f"Bearer {key}"})
    assert [course["id"] for course in answer.json()] == ["personal-data"]
    second = segue("worker", SEGUE_DATA=str(tmp_path))
    assert second.returncode == 2 and "A worker runs on" in second.stderr and "SEGUE_BROKER=kafka" in second.stderr
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)  # by somebody who cannot wait: it must not keep anything from stopping
    assert process.wait(30) == 0
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url}/health/live", timeout=1)
    deadline = time.monotonic() + 5
    while (tmp_path / "valkey.sock").exists() and time.monotonic() < deadline:
        pass
    assert not (tmp_path / "valkey.sock").exists()


def test_a_demo_leaves_the_store_that_the_environment_names_alone() -> None:
    ran = segue("demo", "--seconds", "2", "--learners", "2", SEGUE_REDIS_URL="redis://127.0.0.1:1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["decisions"] > 0


def test_a_setting_that_nobody_reads_and_a_folder_where_nothing_runs_are_told(tmp_path: Path) -> None:
    ran = segue("evidence", "verify", SEGUE_DATA=str(tmp_path), SEGUE_PARTITION="8")
    assert ran.returncode == 1 and "did you mean SEGUE_PARTITIONS" in ran.stderr and "segue up" in ran.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("there", "name,cohort\na,b\n", "no column 'learner'"),
        ("none", "", "no column"),
        ("wide", "learner,cohort\na," + "x" * 200_000, "comma"),
    ],
)
def test_a_file_of_cohorts_that_is_none_is_told(tmp_path: Path, name: str, content: str, said: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    ran = segue("insight", "--cohorts", str(file), SEGUE_DATA=str(tmp_path))
    assert ran.returncode == 2 and said in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize("place", ["", "none/x.html"])
def test_a_page_that_cannot_be_written_is_told_before_anything_is_read(tmp_path: Path, place: str) -> None:
    ran = segue("insight", "--html", str(tmp_path / place), SEGUE_DATA=str(tmp_path))
    assert ran.returncode == 2 and "folder" in ran.stderr and "Traceback" not in ran.stderr


def test_only_a_gateway_publishes_a_course() -> None:
    """Whatever answers with a redirect, a page or a page of an error has published nothing."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = int(self.path.split("/")[1])
            self.send_response(status)
            self.send_header("Location", "http://elsewhere/")
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for status in (200, 308, 404):
            url = f"http://127.0.0.1:{server.server_port}/{status}/"
            ran = segue("course", "publish", str(SAMPLE), "--key", "k", "--url", url)
            assert ran.returncode != 0 and "Published" not in ran.stdout and "Traceback" not in ran.stderr, (status, ran)
        server.shutdown()


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
