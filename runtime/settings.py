"""Settings: one frozen object, read once from SEGUE_* variables, all faults reported together."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import Misconfigured


class Settings(BaseSettings):
    """Everything an operator can set. Times are in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="SEGUE_", frozen=True, extra="ignore")

    broker: Literal["standalone", "kafka"] = "standalone"
    data: Path = Field(default=Path("segue-data"), description="Folder of the embedded store (standalone).")
    redis_url: str = Field(default="", description="redis:// or unix:// address of the view; standalone starts its own.")
    kafka: str = Field(default="127.0.0.1:9092", description="Bootstrap servers, comma separated.")
    app: str = Field(default="segue", description="Consumer group and prefix of transactional ids.")
    topic_prefix: str = Field(default="", description="Put before every topic name in Kafka.")
    replication: int = Field(default=1, ge=1, le=9)
    partitions: int = Field(default=4, ge=1, le=1024)
    host: str = "127.0.0.1"
    behind_loopback: bool = Field(
        default=False, description="Only loopback reaches the port although SEGUE_HOST is wider, as in a container."
    )
    port: int = Field(default=8765, ge=0, le=65_535)
    worker_metrics_port: int = Field(default=0, ge=0, le=65_535, description="0: the worker serves no metrics page.")
    key: str = Field(default="", description="Development key that clients send as a bearer token.")
    durable: bool = Field(default=False, description="Standalone: write every event to disk before the 202.")
    log_kept: int = Field(
        default=20_000,
        ge=1_000,
        description="Standalone: how many records of each topic and partition stay in the store; older ones move to files.",
    )
    checkpoint_seconds: float = Field(default=10.0, gt=0)
    log_format: Literal["pretty", "json"] = "pretty"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def refuse_others(self, what: str) -> None:
        """Raises Misconfigured where others than this machine could reach `what`."""
        if self.host not in LOOPBACK and not self.behind_loopback:
            raise Misconfigured(
                f"{what}; SEGUE_HOST={self.host} would be open to others.\n"
                "In a container whose port is published on 127.0.0.1 only, set SEGUE_BEHIND_LOOPBACK=true."
            )


PARENT = "SEGUE_PARENT"
"""Which process supervises this one; set by it."""
OTHERS = (PARENT, "SEGUE_URL", "SEGUE_FAULTS")
"""What is read elsewhere: by supervised processes, commands that talk to a service, and tests."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def misspelt(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each SEGUE_* variable that nobody reads."""
    known = [f"SEGUE_{name.upper()}" for name in Settings.model_fields]
    found = []
    for name in sorted(environment):
        if name.upper().startswith("SEGUE_") and name.upper() not in (*known, *OTHERS):
            near = get_close_matches(name.upper(), known, 1)
            found.append(f"{name} is no setting{f'; did you mean {near[0]}?' if near else ''}")
    return found


def load_settings(**given: object) -> Settings:
    """Settings from the environment; `given` goes first. Raises Misconfigured that names every fault at once."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as faults:
        lines = [f"SEGUE_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in faults.errors()]
        raise Misconfigured("Some settings are wrong:\n  " + "\n  ".join(lines)) from None
