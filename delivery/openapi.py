"""What /openapi.json says about each path: schemas are generated from the same structs that decode the requests."""

from __future__ import annotations

from typing import Any

from msgspec.json import schema_components

from schemas.course import Course
from schemas.decision import Decision, Problem
from schemas.events import Event

DESCRIPTION = (
    "Send interactions to `/v1/events`; read decisions from the adaptation topic "
    "`/.well-known/mercure?match=/courses/COURSE/learners/LEARNER/decisions`, or ask with `Prefer: wait=250`."
)
_refs, COMPONENTS = schema_components([Event, Decision, Course, Problem], ref_template="#/components/schemas/{name}")
_event, _decision, _course, _problem = _refs
COMPONENTS["Event"]["additionalProperties"] = True  # what we do not know is kept with the event, and used by nobody
_TAKEN = {
    "type": "object",
    "properties": {
        "accepted": {"type": "array", "items": {"type": "object", "properties": {
            "id": {"type": "string"}, "partition": {"type": "integer"}, "offset": {"type": "integer"}}}},
        "rejected": {"type": "array", "items": {"type": "object", "properties": {
            "index": {"type": "integer"}, "id": {"type": ["string", "null"]}, "code": {"type": "string"},
            "detail": {"type": "string"}}}},
    },
}  # fmt: skip


def _answer(description: str, schema: Any = None, media: str = "application/json") -> dict[str, Any]:
    return {"description": description, **({"content": {media: {"schema": schema}}} if schema is not None else {})}


def _wrong(description: str) -> dict[str, Any]:
    return _answer(description, _problem, "application/problem+json")


def _path(summary: str, answers: dict[int | str, Any], extra: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"summary": summary, "responses": {401: _wrong("No or a wrong key"), **answers}, "openapi_extra": extra}


def _open_path(summary: str, answers: dict[int | str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": answers}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


EVENTS = _path(
    "Send one event or a list of them",
    {
        200: _answer("The decision that was waited for (`Prefer: wait`)", _decision),
        202: _answer("In the log, durably", _TAKEN),
        400: _wrong("Not JSON, a key twice, or nested too deep"),
        404: _wrong("Unknown course"),
        409: _wrong("The id was used before with another body"),
        413: _wrong("Over 64 KiB an event, 1 MiB or 1,000 events a request"),
        422: _wrong("An event makes no sense"),
        503: _wrong("The log cannot take it now; send it again"),
    },
    {
        "parameters": [_header("Prefer", "wait=MS: answer with the decision, or with a fallback after MS milliseconds")],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": [_event, {"type": "array", "items": _event}]}}},
        },
    },
)
COURSES = _path("The newest version of every course", {200: _answer("Courses", {"type": "array", "items": _course})})
COURSE = _path("The newest version of a course", {200: _answer("The course", _course), 404: _wrong("No such course")})
PUBLISH = _path(
    "Publish a version of a course; it never changes afterwards",
    {
        200: _answer("This very version was published before"),
        201: _answer("Published"),
        400: _wrong("Not JSON"),
        409: _wrong("The version is taken by other content"),
        413: _wrong("Over 900 KiB"),
        422: _wrong("The course has errors"),
        503: _wrong("The log cannot take it now"),
    },
    {"requestBody": {"required": True, "content": {"application/json": {"schema": _course}}}},
)
LATEST = _path("A learner's latest decision", {200: _answer("The decision", _decision), 404: _wrong("None at hand")})
MERCURE = _path(
    "Subscribe to adaptation topics (server-sent events)",
    {200: _answer("A stream of decisions", {"type": "string"}, "text/event-stream"), 422: _wrong("Not a topic")},
    {
        "parameters": [
            {"name": "match", "in": "query", "required": True, "description": "A topic; may be given several times",
             "schema": {"type": "array", "items": {"type": "string"}}},
            _header("Last-Event-ID", "Cursor of the last decision that was read"),
        ]
    },
)  # fmt: skip
LIVE = _open_path("Is the process alive?", {200: _answer("Yes")})
READY = _open_path("Can it take traffic?", {200: _answer("Yes"), 503: _wrong("Not yet")})
METRICS = _open_path("Prometheus metrics", {200: _answer("Metrics", {"type": "string"}, "text/plain")})


def with_components(document: dict[str, Any]) -> dict[str, Any]:
    """Add our schemas and the bearer scheme to a generated document."""
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {}).update(COMPONENTS)
    parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"bearer": []}]
    return document
