"""The bare echo of an engine, in a process of its own: what comes in goes out, nothing else.

python -m benchmarks.echo standalone unix:///path/to/valkey.sock
python -m benchmarks.echo kafka 127.0.0.1:9092 topic-in topic-out
"""

from __future__ import annotations

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from redis.asyncio import Redis

from cli.process import run

IN, OUT = "bench:in", "bench:out"


async def echo_valkey(url: str) -> None:
    """From stream IN to stream OUT with redis-py."""
    reader, writer = Redis.from_url(url, protocol=2), Redis.from_url(url, protocol=2)
    last = "$"
    await _ready(writer)
    while True:
        for _, entries in await reader.xread({IN: last}, block=1_000) or ():
            last = entries[-1][0].decode()
            pipe = writer.pipeline(transaction=False)
            for _, fields in entries:
                pipe.xadd(OUT, fields, maxlen=10_000, approximate=True)
            await pipe.execute()


async def _ready(writer: Redis) -> None:
    await writer.set("bench:echo-ready", 1)


async def echo_kafka(servers: str, topic_in: str, topic_out: str) -> None:
    """From topic to topic with aiokafka."""
    consumer = AIOKafkaConsumer(topic_in, bootstrap_servers=servers, auto_offset_reset="latest", fetch_max_wait_ms=500)
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=0)
    await consumer.start()
    await producer.start()
    while True:
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            sent = [await producer.send(topic_out, record.value, partition=0) for record in records]
            await asyncio.gather(*sent)


if __name__ == "__main__":
    if sys.argv[1] == "standalone":
        run(echo_valkey(sys.argv[2]))
    else:
        run(echo_kafka(*sys.argv[2:5]))
