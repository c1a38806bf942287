"""What topic `evidence` holds: for each row a chain of records of what was done about compulsory content.

A record names the one before it by hash, and the row keeps number and hash of its last one, so that an edit, a deletion, a
reorder and a cut-off end are all found. Hashes are the first 16 bytes of SHA-256 over the record without its own hash.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.errors import Code, Rejection

HASH_BYTES = 16
START = bytes(HASH_BYTES)
Kind = Literal["decided", "delivered", "rendered", "completed", "waived"]
KINDS: tuple[Kind, ...] = ("decided", "delivered", "rendered", "completed", "waived")
"""In the order in which they mean more; only rendered proves that something was shown."""


class EvidenceRecord(Struct, frozen=True, kw_only=True):
    """`number` counts the row's records from 1. `decision` is the number of the decision it is about, where that is known.

    `answers` of a waiver: the questions of the probe, and whether each was answered rightly. `event` is the id of the
    interaction that caused the record, `at` what the client said of the time (milliseconds; null: nothing), `logged_at` the
    log's time, `content` the hash of what was rendered.
    """

    row: str
    number: int
    kind: Kind
    segment: str
    course_version: str
    decision: int | None
    content: str | None
    answers: list[tuple[str, bool]]
    event: str
    at: int | None
    logged_at: int
    partition: int
    offset: int
    previous: str
    hash: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EvidenceRecord).decode


def hash_of(record: EvidenceRecord) -> bytes:
    """The hash that the record must carry."""
    return sha256(_encode(replace(record, hash=""))).digest()[:HASH_BYTES]


def sealed(record: EvidenceRecord) -> EvidenceRecord:
    """The record with its hash."""
    return replace(record, hash=hash_of(record).hex())


def encode_evidence(record: EvidenceRecord) -> bytes:
    """JSON; the same record always gives the same bytes."""
    return _encode(record)


def decode_evidence(value: bytes) -> EvidenceRecord:
    """Raises Rejection when `value` is no evidence record."""
    try:
        return _decode(value)
    except (msgspec.MsgspecError, UnicodeError) as fault:
        raise Rejection(Code.MALFORMED, f"Not an evidence record: {fault}.") from None
