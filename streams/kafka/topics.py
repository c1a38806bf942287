"""Make the topics that are missing; refuse to start when those that are there do not fit."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from schemas import topics
from schemas.errors import Misconfigured, Unavailable
from streams.kafka.names import WAITS, Cluster
from streams.kafka.producer import MAX_RECORD_BYTES

MONTH_MS, WEEK_MS, YEARS_MS = 30 * 86_400_000, 7 * 86_400_000, 5 * 365 * 86_400_000
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 << 20),
    "segment.ms": str(3_600_000),
    "min.cleanable.dirty.ratio": "0.2",
}
"""A segment that is still written is not compacted, and a rebuild reads the whole topic."""
LARGEST = {"max.message.bytes": str(MAX_RECORD_BYTES)}
CONFIG: dict[str, dict[str, str]] = {
    topics.INTERACTIONS: {"retention.ms": str(MONTH_MS)},
    topics.DECISIONS: {"retention.ms": str(MONTH_MS)},
    topics.LEARNING: {"retention.ms": str(WEEK_MS)},
    topics.REJECTS: {"retention.ms": str(MONTH_MS)},
    topics.LEARNER_STATE: COMPACTED,
    topics.POPULATION: {"retention.ms": str(YEARS_MS)},
    topics.COURSES: {"retention.ms": "-1"},
    topics.EVIDENCE: {"retention.ms": "-1"},
}


async def ensure_topics(cluster: Cluster, *, make: bool = True) -> None:
    """Create what is missing. Raises Misconfigured for another partition count, or for what is missing and not to be made,
    Unavailable without a broker."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers, **WAITS)
    try:
        await admin.start()
        there = set(await admin.list_topics())
        wanted = dict.fromkeys(topics.PARTITIONED, cluster.partitions) | dict.fromkeys(topics.SHARED, 1)
        missing = [name for name in wanted if cluster.topic(name) not in there]
        if missing and not make:
            raise Misconfigured(
                f"There is no topic {cluster.topic(missing[0])!r}; check SEGUE_TOPIC_PREFIX and SEGUE_KAFKA."
            )
        if missing:
            await _create(admin, cluster, {name: wanted[name] for name in missing})
        await _check(admin, cluster, {name: count for name, count in wanted.items() if name not in missing})
    except KafkaError as fault:
        raise Unavailable("kafka", f"{fault!r} at {cluster.servers}") from fault
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, cluster: Cluster, wanted: dict[str, int]) -> None:
    made = [
        NewTopic(
            name=cluster.topic(name),
            num_partitions=count,
            replication_factor=cluster.replication,
            topic_configs=CONFIG[name] | LARGEST | ({"min.insync.replicas": "2"} if cluster.replication >= 3 else {}),
        )
        for name, count in wanted.items()
    ]
    try:
        await admin.create_topics(made)
    except TopicAlreadyExistsError:
        return


async def _check(admin: AIOKafkaAdminClient, cluster: Cluster, wanted: dict[str, int]) -> None:
    if not wanted:
        return
    described = await admin.describe_topics([cluster.topic(name) for name in wanted])
    for topic in described:
        name, count = cluster.plain(topic["topic"]), len(topic["partitions"])
        if count != wanted[name]:
            raise Misconfigured(
                f"Topic {topic['topic']} has {count} partitions, the settings say {wanted[name]}. Partition counts are "
                f"fixed when topics are made: set SEGUE_PARTITIONS={count}, or SEGUE_TOPIC_PREFIX for new topics."
            )
