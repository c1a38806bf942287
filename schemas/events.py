"""What a player or an app may send. One flat struct, so that decoding is one pass and errors name their field.

`ASKS_FOR_DECISION` holds the types that are answered with a decision. `rendered` must not be one of them, or a player
that reports what it rendered would be sent the next thing to render, for ever.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from msgspec import Meta, Struct

EventType = Literal[
    "answered",
    "completed",
    "skipped",
    "requested",
    "preferred",
    "overridden",
    "resumed",
    "contextualised",
    "viewed",
    "rendered",
    "paused",
    "hinted",
    "rated",
    "consented",
    "delivered",
]
EVENT_TYPES: frozenset[str] = frozenset(get_args(EventType))
ASKS_FOR_DECISION: frozenset[str] = frozenset(
    {"answered", "completed", "skipped", "requested", "preferred", "overridden", "resumed", "contextualised"}
)

BY_GATEWAYS: frozenset[str] = frozenset({"delivered"})
"""What only a gateway can know; refused from clients."""

Action = Literal["skip", "back", "again", "know", "not_now", "restart", "personalise", "do_not_personalise"]

MOST_NAME = 128
Name = Annotated[str, Meta(min_length=1, max_length=MOST_NAME)]
"""An id that somebody outside chose: any characters, 1 to MOST_NAME of them."""


class Event(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, frozen=True):
    """One interaction.

    `id` is the client's and names the interaction for ever: sent again with the same body it has no second effect.
    `at` is when the answer was complete (RFC 3339 with a zone); left out, gaps in time are unknown. `decision` is the number
    of the decision that it is about. `context` names the skills that the learner's work asks for now; empty: none.
    """

    id: UUID
    type: EventType
    learner: Name
    course: Name
    run: Name = "1"
    segment: Name | None = None
    item: Name | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    correct: bool | None = None
    latency_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None
    attempt: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    hints: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    response: Annotated[str, Meta(max_length=8_192)] | None = None
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None
    format: Name | None = None
    pace: Literal["slower", "normal", "faster"] | None = None
    feedback: Literal["less", "normal", "more"] | None = None
    goal: Name | None = None
    action: Action | None = None
    context: Annotated[list[Name], Meta(max_length=64)] | None = None
    consent: bool | None = None
    content_hash: Annotated[str, Meta(max_length=128)] | None = None
    decision: Annotated[int, Meta(ge=1)] | None = None


NEEDED_FIELDS: dict[str, tuple[str, ...]] = {
    "answered": ("segment", "item", "correct"),
    "completed": ("segment",),
    "skipped": ("segment",),
    "viewed": ("segment",),
    "rendered": ("segment",),
    "hinted": ("segment",),
    "rated": ("segment", "rating"),
    "overridden": ("action",),
    "contextualised": ("context",),
    "consented": ("consent",),
    "delivered": ("segment", "decision"),
}
"""Which optional fields a type cannot do without."""


def missing_fields(event: Event) -> list[str]:
    """The fields that `event` needs and has not, in the order of `NEEDED_FIELDS`."""
    return [name for name in NEEDED_FIELDS.get(event.type, ()) if getattr(event, name) is None]
