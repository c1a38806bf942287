"""Events, courses and log records for tests: small, valid, and different only where a test says so."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from msgspec import convert

from agents.window import IdWindow
from schemas import topics
from schemas.codec import encode_interaction, encode_json
from schemas.course import Course
from schemas.events import Event
from schemas.ids import partition_of
from schemas.interaction import PLAIN_KEY_ID, SCHEMA, Interaction, LogRecord, Outgoing, Stamp

NAMESPACE = UUID(int=7)
LOGGED_MS = 1_790_000_000_000
HEADERS = (("schema", SCHEMA), ("kid", PLAIN_KEY_ID))


def event_id(number: int | str) -> UUID:
    """The same id for the same number."""
    return uuid5(NAMESPACE, str(number))


def event_json(number: int | str = 1, **fields: Any) -> dict[str, Any]:
    """An event as a client would send it."""
    given = {"id": str(event_id(number)), "type": "answered", "learner": "ana", "course": "tiny", "segment": "a1",
             "item": "i1", "correct": True, "latency_ms": 5_000, **fields}  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def interaction(number: int | str = 1, *, version: str = "1", population: tuple[int, str] = (0, ""),
                **fields: Any) -> Interaction:  # fmt: skip
    """An event with its stamp."""
    stamp = Stamp(tenant="default", logged_ms=LOGGED_MS, course_version=version, population=population)
    return Interaction(stamp=stamp, event=convert(event_json(number, **fields), Event))


def outgoing(said: Interaction, partitions: int = 1) -> Outgoing:
    """An interaction on its way into the log."""
    partition = partition_of(said.stamp.tenant, said.event.learner, partitions)
    return Outgoing(topics.INTERACTIONS, partition, said.key.encode(), encode_interaction(said), HEADERS)


def record(offset: int, said: Interaction) -> LogRecord:
    """An interaction as it stands in the log."""
    return LogRecord(offset, said.key.encode(), encode_interaction(said), HEADERS)


def course_json(**fields: Any) -> dict[str, Any]:
    """A course of six segments and two skills, one segment compulsory."""
    segments: list[dict[str, Any]] = [
        {"id": f"{skill}{n}", "title": f"{skill.upper()}{n}", "skills": {skill: 1.0}, "minutes": n}
        for skill in ("a", "b")
        for n in (1, 2, 3)
    ]
    segments[3]["prerequisites"] = [{"segment": "a1"}]
    segments[5]["compulsory"] = True
    skills = [{"id": "a", "title": "Skill A"}, {"id": "b", "title": "Skill B", "builds_on": ["a"]}]
    return {"id": "tiny", "version": "1", "title": "Tiny", "holdout": 0.0, "skills": skills, "segments": segments,
            **fields}  # fmt: skip


def course(**fields: Any) -> Course:
    """The same, decoded."""
    return convert(course_json(**fields), Course)


async def publish(shared: Any, given: Course | None = None) -> Course:
    """Put a course into topic `courses`."""
    given = given or course()
    await shared.append(topics.COURSES, f"default/{given.id}/{given.version}".encode(), encode_json(given))
    return given


def empty_window() -> IdWindow:
    """A row's window before anything happened."""
    return IdWindow(0, {})
