"""Evidence records, chained: what the step adds to a row's chain, and how a chain is checked.

Comes in while a record of the log is computed: what happened to compulsory content. Goes out: sealed records, each naming
the one before; the row keeps number and hash of the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from models.row import Row
from schemas.course import Course
from schemas.errors import Rejection
from schemas.evidence import (
    HASH_BYTES,
    START,
    EvidenceRecord,
    Kind,
    decode_evidence,
    encode_evidence,
    hash_of,
    sealed,
)
from schemas.ids import hash32
from schemas.interaction import Interaction, LogRecord


def add(row: Row, course: Course, record: Interaction, place: tuple[int, int], kind: Kind, segment: str | None,
        decision: int | None = None, answers: Iterable[tuple[str, bool]] = ()) -> list[EvidenceRecord]:  # fmt: skip
    """The next record of the row's chain; none unless the segment is compulsory or leads to what is.

    `place` is (partition, offset) of the interaction.
    """
    if segment is None or segment not in course.required:
        return []
    event = record.event
    made = sealed(
        EvidenceRecord(
            row=record.key,
            number=row.evidence + 1,
            kind=kind,
            segment=segment,
            course_version=course.version,
            decision=decision,
            content=event.content_hash if kind == "rendered" else None,
            answers=list(answers),
            event=str(event.id),
            at=int(event.at.timestamp() * 1000) if event.at is not None else None,
            logged_at=record.stamp.logged_ms,
            partition=place[0],
            offset=place[1],
            previous=row.head.hex(),
        )
    )
    row.evidence, row.head = made.number, bytes.fromhex(made.hash)
    key = hash32(segment)
    if kind in ("completed", "waived") and key not in row.proven:
        row.proven += (key,)
    return [made]


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a row's chain, as the row has it."""

    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written. `number` is where in the row's chain; 0: nowhere in particular."""

    row: str
    number: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What a check of the topic found. `missing_ends`: rows whose last records are not there (yet)."""

    records: int = 0
    copies: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    missing_ends: list[Finding] = field(default_factory=list)


def verify(records: Iterable[LogRecord], heads: Mapping[str, Head]) -> Verdict:
    """Check all chains. `heads` has every row whose chain is not empty; `records` stand in the order of the topic."""
    found, chains = Verdict(), dict[str, dict[int, EvidenceRecord]]()
    for each in records:
        try:
            record = decode_evidence(each.value)
        except Rejection as rejection:
            found.findings.append(Finding(each.key.decode(errors="replace"), 0, rejection.detail))
            continue
        if each.key != f"{record.row}/{record.number}".encode() or each.value != encode_evidence(record):
            found.findings.append(Finding(record.row, record.number, "edited: its key or its bytes are not as written"))
        _place(found, chains.setdefault(record.row, {}), record)
    for row, chain in chains.items():
        _follow(found, row, chain)
    for row, head in heads.items():
        _end(found, row, chains.get(row, {}), head)
    for row in chains.keys() - heads.keys():
        found.findings.append(Finding(row, 0, "there are records, but the row knows of none"))
    found.rows = len(chains)
    return found


def _place(found: Verdict, chain: dict[int, EvidenceRecord], record: EvidenceRecord) -> None:
    there = chain.get(record.number)
    if there is not None:
        found.copies += 1
        if there != record:
            found.findings.append(Finding(record.row, record.number, "two records with this number differ"))
        return
    if record.number < max(chain, default=0):
        found.findings.append(Finding(record.row, record.number, "stands after a later one: reordered"))
    chain[record.number] = record
    found.records += 1


def _follow(found: Verdict, row: str, chain: Mapping[int, EvidenceRecord]) -> None:
    before, expected = START, 1
    for number in sorted(chain):
        record = chain[number]
        if number < 1:
            found.findings.append(Finding(row, number, "no number that a chain has"))
            continue
        if number > expected:
            found.findings.append(Finding(row, expected, "missing"))
            before = b""
        own = hash_of(record)
        if own.hex() != record.hash:
            found.findings.append(Finding(row, number, "edited: its hash does not fit"))
        elif before and record.previous != before.hex():
            found.findings.append(Finding(row, number, "does not follow the one before it"))
        before, expected = own, number + 1


def _end(found: Verdict, row: str, chain: Mapping[int, EvidenceRecord], head: Head) -> None:
    last = max(chain, default=0)
    if last < head.number:
        found.missing_ends.append(Finding(row, last + 1, f"cut off: the row has {head.number} records, the topic {last}"))
    elif last > head.number:
        found.findings.append(Finding(row, head.number + 1, "more records than the row knows of"))
    elif hash_of(chain[last]) != head.hash[:HASH_BYTES]:
        found.findings.append(Finding(row, last, "the row's last hash is another"))
