"""Bytes to structs and back, once each way. Hostile bytes become a `Rejection`, never another exception.

JSON is what outsiders meet (events, decisions, courses, rejects); msgpack is for records that only our own agents read.
"""

from __future__ import annotations

import json
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Struct, msgpack
from msgspec import inspect as mi
from msgspec import json as mjson

from schemas.course import Course
from schemas.decision import Decision, LearningRecord, Reject
from schemas.errors import Code, Rejection
from schemas.events import EVENT_TYPES, Event, missing_fields
from schemas.interaction import SCHEMA, Interaction, LogRecord

MAX_EVENT_BYTES = 64 * 1024
MAX_DEPTH = 32

_event_fields = frozenset(Event.__struct_fields__)
_decode_event = mjson.Decoder(Event).decode
_decode_any = mjson.Decoder().decode
_decode_raws = mjson.Decoder(list[msgspec.Raw]).decode
_decode_interaction = mjson.Decoder(Interaction).decode
_decode_course = mjson.Decoder(Course).decode
_decode_decision = mjson.Decoder(Decision).decode
_decode_learning = msgpack.Decoder(list[LearningRecord]).decode
_decode_one_learning = msgpack.Decoder(LearningRecord).decode

encode_json = mjson.Encoder().encode
encode_msgpack = msgpack.Encoder().encode
decode_decision = _decode_decision
decode_reject = mjson.Decoder(Reject).decode


def in_words(fault: msgspec.ValidationError, kind: type[Struct]) -> str:
    """What is wrong with a field, with what there is to choose from where that is a list."""
    told = str(fault).replace(" | null`, got", "`, got")
    path = told.partition("`$.")[2].rstrip("`").split(".")
    if not told.startswith("Invalid enum value") or not path[0]:
        return told
    choices = _choices(kind, path)
    return f"{told}; there are: {', '.join(choices)}" if choices else told


def _choices(kind: Any, path: list[str]) -> list[str]:
    """What may stand in the field at the end of a path through structs and lists of them."""
    found = mi.type_info(kind)
    for name in path:
        fields = {field.encode_name: field.type for field in found.fields} if isinstance(found, mi.StructType) else {}
        within = fields.get(name.partition("[")[0])
        if isinstance(within, mi.UnionType):
            within = next((each for each in within.types if not isinstance(each, mi.NoneType)), None)
        if isinstance(within, mi.ListType):
            within = within.item_type
        if within is None:
            return []
        found = within
    return [str(value) for value in found.values] if isinstance(found, mi.LiteralType) else []


def split_batch(body: bytes) -> tuple[list[bytes], bool]:
    """The raw events of a request body, and whether it was an array. Raises Rejection when the body is not JSON."""
    if body.lstrip()[:1] != b"[":
        return [body], False
    try:
        return [bytes(raw) for raw in _decode_raws(body)], True
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeError) as fault:
        raise Rejection(Code.MALFORMED, f"The body is not valid JSON: {fault}.") from None


def decode_event(body: bytes) -> tuple[Event, dict[str, Any] | None]:
    """An event and the fields in it that we do not know (None: there were none). Raises Rejection."""
    if len(body) > MAX_EVENT_BYTES:
        raise Rejection(Code.TOO_LARGE, f"An event may have {MAX_EVENT_BYTES} bytes; this one has {len(body)}.")
    _refuse_repeated_keys(body)
    try:
        event, extra = _decode_event(body), None
    except msgspec.ValidationError as fault:
        event, extra = _decode_with_unknown_fields(body, fault)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeError) as fault:
        raise Rejection(Code.MALFORMED, f"The event is not valid JSON: {fault}.") from None
    missing = missing_fields(event)
    if event.type == "preferred" and event.format is event.pace is event.feedback is event.goal is None:
        missing = ["one of format, pace, feedback, goal"]
    if missing:
        raise Rejection(Code.INVALID, f"An event of type {event.type!r} needs {', '.join(missing)}.")
    return event, extra


def encode_interaction(interaction: Interaction) -> bytes:
    """The log's value. Canonical: the same interaction always gives the same bytes."""
    return encode_json(interaction)


def decode_interaction(record: LogRecord) -> Interaction:
    """Decode a record of the log. Raises Rejection for bytes or schema versions that this release cannot use."""
    schema = dict(record.headers).get("schema")
    if schema != SCHEMA:
        raise Rejection(Code.UNKNOWN_SCHEMA, f"Schema {schema!r} is not {SCHEMA!r}; upgrade the workers, then retry it.")
    try:
        interaction = _decode_interaction(record.value)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.MsgspecError, UnicodeError) as fault:
        raise Rejection(Code.MALFORMED, f"Not an interaction: {fault}.") from None
    if missing_fields(interaction.event) or interaction.key != record.key.decode(errors="replace"):
        raise Rejection(Code.INVALID, "The record lacks needed fields, or its key is not its row's.")
    return interaction


def decode_course(body: bytes) -> Course:
    """A course from JSON. Raises Rejection that names the field at fault."""
    try:
        return _decode_course(body)
    except RecursionError:
        raise _too_deep() from None
    except msgspec.ValidationError as fault:
        raise Rejection(Code.INVALID, f"{in_words(fault, Course)}.") from None
    except (msgspec.DecodeError, UnicodeError) as fault:
        raise Rejection(Code.MALFORMED, f"The course is not valid JSON: {fault}.") from None


def decode_learning(value: bytes) -> list[LearningRecord]:
    """Learning records from msgpack: a list of them, or one, as releases before lists wrote it. Raises Rejection."""
    try:
        return _decode_learning(value)
    except (msgspec.MsgspecError, UnicodeError):
        pass
    try:
        return [_decode_one_learning(value)]
    except (msgspec.MsgspecError, UnicodeError) as fault:
        raise Rejection(Code.MALFORMED, f"No learning records: {fault}.") from None


def id_hash(event: Event) -> bytes:
    """Eight bytes that stand for an event's id in its row's window."""
    return blake2b(event.id.bytes, digest_size=8).digest()


def body_hash(interaction: Interaction) -> bytes:
    """Four bytes that stand for everything the client said, so that a reused id with another body is noticed."""
    extra = mjson.encode(interaction.extra, order="sorted")
    return blake2b(encode_json((interaction.event, msgspec.Raw(extra))), digest_size=4).digest()


def _decode_with_unknown_fields(body: bytes, fault: msgspec.ValidationError) -> tuple[Event, dict[str, Any]]:
    """The slow path: keep what we do not know. `fault` is raised as a Rejection when unknown fields were not the fault."""
    try:
        document = _decode_any(body)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.MsgspecError, UnicodeError) as broken:
        raise Rejection(Code.MALFORMED, f"The event is not valid JSON: {broken}.") from None
    if not isinstance(document, dict):
        raise Rejection(Code.INVALID, "An event is a JSON object.")
    kind = document.get("type")
    if isinstance(kind, str) and kind not in EVENT_TYPES:
        raise Rejection(
            Code.UNKNOWN_TYPE, f"There is no event type {kind[:40]!r}; there are: {', '.join(sorted(EVENT_TYPES))}."
        )
    extra = {name: value for name, value in document.items() if name not in _event_fields}
    if not extra:
        raise Rejection(Code.INVALID, f"{in_words(fault, Event)}.")
    if depth_of(extra) >= MAX_DEPTH:
        raise _too_deep()
    known = {name: value for name, value in document.items() if name in _event_fields}
    try:
        return _decode_event(encode_json(known)), extra
    except msgspec.ValidationError as real_fault:
        raise Rejection(Code.INVALID, f"{real_fault}.") from None


def _refuse_repeated_keys(body: bytes) -> None:
    """A key that stands twice means two readers may understand two things: refuse it. (Broken JSON is found later.)"""
    try:
        _scan(body)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as fault:
        raise Rejection(Code.MALFORMED, f"The event is not valid JSON: {fault}.") from None


def _pairs(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) == len(pairs):
        return
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise Rejection(Code.DUPLICATE_KEY, f"The key {name[:40]!r} stands twice.")
        seen.add(name)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_scan = partial(json.loads, object_pairs_hook=_pairs, parse_constant=_no_constant)


def depth_of(value: Any) -> int:
    """How deep lists and objects are nested: 0 for a plain value."""
    deepest, level = 0, [value]
    while level := [
        child
        for node in level
        if isinstance(node, dict | list)
        for child in (node.values() if isinstance(node, dict) else node)
    ]:
        deepest += 1
        if deepest > MAX_DEPTH:
            break
    return deepest


def _too_deep() -> Rejection:
    return Rejection(Code.TOO_DEEP, f"JSON may be nested {MAX_DEPTH} deep.")
