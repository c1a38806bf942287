"""Events into Kafka, with the gateways' memory of ids in Redis asked first: what clashes is never appended."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.ports import Arrival
from schemas.errors import Unavailable
from streams.kafka.producer import KafkaProducer
from streams.keys import REMEMBER_SECONDS, remembered_id
from streams.wire import Scripts, Wire


class KafkaIntake:
    """IngestLog over a producer and a memory that may be gone."""

    def __init__(self, producer: KafkaProducer, memory: Wire) -> None:
        self._producer = producer
        self._scripts = Scripts(memory)

    async def take(self, events: Sequence[Arrival]) -> Sequence[int | None]:
        clashes = await self._clashes(events)
        offsets = iter(
            await self._producer.append([e.record for e, clash in zip(events, clashes, strict=True) if not clash])
        )
        return [None if clash else next(offsets) for clash in clashes]

    async def _clashes(self, events: Sequence[Arrival]) -> Sequence[bool]:
        """Where the memory does not answer, nothing clashes: the lane decides."""
        keys = [remembered_id(event.record.key.decode(), event.id_hash.hex()) for event in events]
        try:
            found = await self._scripts.run("remember", keys, [REMEMBER_SECONDS, *(event.body_hash for event in events)])
        except Unavailable:
            return [False] * len(events)
        return [bool(clash) for clash in found]
