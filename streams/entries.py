"""How a record of a topic stands in a Valkey stream: entry id = offset + 1; key, value and headers as fields."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import msgpack

from schemas.interaction import LogRecord

encode_headers = msgpack.Encoder().encode
_decode_headers = msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


def record_of(name: bytes, fields: Sequence[bytes]) -> LogRecord:
    """The record of an entry."""
    _, key, _, value, _, headers = fields
    return LogRecord(int(name.split(b"-", 1)[0]) - 1, key, value, _decode_headers(headers))
