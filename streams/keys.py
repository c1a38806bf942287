"""Names of everything in Redis. One hash slot a partition: the part in braces decides where a key lives."""

from __future__ import annotations

from dataclasses import dataclass

EPOCH = "segue:epoch"
"""How often a power cut may have taken the store's last second (streams.engine); without the key, never."""

LIVE_KEPT = 10_000
TAIL_KEPT = 16


@dataclass(frozen=True, slots=True)
class PartitionKeys:
    """Keys of one partition of the view, and (standalone) of its part of each topic."""

    state: str
    rows: str
    ids: str
    live: str
    outbox: str
    dirty: str
    tail_prefix: str
    ends: str
    topic_prefix: str
    positions: str

    @classmethod
    def of(cls, partition: int) -> PartitionKeys:
        """The keys of a partition."""
        slot = f"segue:{{{partition}}}:"
        return cls(
            state=slot + "state",
            rows=slot + "rows",
            ids=slot + "ids",
            live=slot + "live",
            outbox=slot + "outbox",
            dirty=slot + "dirty",
            tail_prefix=slot + "tail:",
            ends=slot + "ends",
            topic_prefix=slot + "topic:",
            positions=slot + "positions",
        )

    def tail(self, row: str) -> str:
        """The stream of a row's last decisions."""
        return self.tail_prefix + row

    def topic(self, name: str) -> str:
        """This partition's part of a topic (standalone)."""
        return self.topic_prefix + name


REMEMBER_SECONDS = 15 * 60
"""How long gateways remember event ids: 150 bytes each, in the store that has the truth. Lanes remember on."""

SHARED_ENDS = "segue:{shared}:ends"
WORKERS = "segue:{shared}:workers"
PARTITIONS = "segue:{shared}:partitions"


def shared_topic(name: str) -> str:
    """A topic that everybody reads whole (standalone)."""
    return "segue:{shared}:topic:" + name


def remembered_id(row: str, name: str) -> str:
    """The gateway's memory of one event id."""
    return f"segue:id:{row}:{name}"
