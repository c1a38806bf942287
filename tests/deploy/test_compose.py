"""The compose file is one that docker-compose accepts, with every part that a cluster needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

from runtime.settings import Settings
from tests.require import need

ROOT = Path(__file__).resolve().parents[2]


def test_docker_compose_accepts_the_file() -> None:
    need("compose", None if shutil.which("docker-compose") else "no docker-compose on PATH (Debian: docker-compose)")
    command = ["docker-compose", "-f", str(ROOT / "docker-compose.yml"), "config"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert set(yaml.safe_load(ran.stdout)["services"]) == {"kafka", "valkey", "worker", "gateway"}


def test_every_variable_in_it_is_a_setting() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    used = {name for service in services.values() for name in service.get("environment", {}) if name.startswith("SEGUE_")}
    assert used and used <= {f"SEGUE_{name.upper()}" for name in Settings.model_fields}


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in Settings.model_fields if f"`SEGUE_{name.upper()}`" not in text] == []
