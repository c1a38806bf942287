"""Which Kafka a replay or a bench uses: the one that SEGUE_KAFKA names, or a local one of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.kafka.local import LocalKafka


@contextmanager
def local_kafka(folder: Path, told: Callable[[str], None]) -> Iterator[dict[str, object]]:
    """Settings that point at a Kafka, which is stopped at the end if it was ours."""
    trial = f"trial-{secrets.token_hex(4)}"
    if os.environ.get("SEGUE_KAFKA"):
        yield {"app": trial, "topic_prefix": f"{trial}."}
        return
    told("Fetching Apache Kafka 4.1 (once) and starting one node …")
    kafka = LocalKafka(folder / "kafka")
    kafka.start()
    try:
        yield {"kafka": kafka.servers, "app": trial}
    finally:
        kafka.stop()
