"""Names in Kafka: topics with the deployment's prefix, and which client settings every part shares."""

from __future__ import annotations

from dataclasses import dataclass

WAITS = {"request_timeout_ms": 8_000, "metadata_max_age_ms": 3_000}
"""Of every client. A broker that has gone silent (no power, no network, no answer) is noticed when a request to it ends,
and where its partitions went when the metadata are asked for again. aiokafka has 40 and 300 s, Faust 90."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Kafka is, and what this deployment calls its things there."""

    servers: str
    app: str
    prefix: str
    partitions: int
    replication: int

    def topic(self, name: str) -> str:
        """The topic `name` of this deployment."""
        return self.prefix + name

    def plain(self, topic: str) -> str:
        """Inverse of `topic`."""
        return topic.removeprefix(self.prefix)
