"""What Segue answers: the next segment, why, and everything that is needed to check the choice later.

`predicted` is the probability that the model gave to the response in `for_event` before it learned from it. A fallback
that a gateway makes when time runs out has `seq` null: it was never numbered, so it can never contradict a decision.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class RunnerUp(Struct, frozen=True):
    """The next best choice, and what would have made it the choice."""

    segment: str
    score: float
    needs: str


class Reply(Struct, frozen=True):
    """What became of a learner's own choice. If not honoured, `reason` says why in a word, `offers` what is possible."""

    action: str
    honoured: bool
    reason: str
    words: str
    offers: list[str] = []


class Question(Struct, frozen=True):
    """A question of a probe: which item to ask, its number, and how many there are at most."""

    item: str
    number: int
    most: int


class Decision(Struct, frozen=True, kw_only=True):
    """One decision. `eligible` is a hexadecimal bitmap over the course version's segments, lowest bit first.

    `propensity` is the exact probability with which `segment` was drawn; `terms` are the signed parts of its score.
    `compulsory` says that the segment, or what it leads to, must be delivered; `feedback` how much of it the learner wants
    (less, normal, more). `probe` is there while the learner tests out.
    """

    id: str
    seq: int | None
    tenant: str
    learner: str
    course: str
    run: str
    segment: str | None
    format: str | None
    why: str
    terms: list[tuple[str, float]]
    runner_up: RunnerUp | None
    eligible: str
    next_authored: str | None
    propensity: float
    arm: str
    forced: bool
    fallback: bool
    for_event: str
    predicted: float | None
    policy: str
    population: tuple[int, str]
    course_version: str
    engine: int
    decided_at: int
    compulsory: bool = False
    feedback: str = "normal"
    reply: Reply | None = None
    probe: Question | None = None


class Reject(Struct, frozen=True, kw_only=True):
    """A record of topic `rejects`: what could not be used, where it stood, why, and its bytes (base64 in JSON)."""

    partition: int
    offset: int
    code: str
    detail: str
    value: bytes
    headers: list[tuple[str, bytes]]


class LiveEntry(Struct, frozen=True, kw_only=True):
    """One entry of a partition's live stream, as gateways read it.

    A decision has `row`, `seq` and `body`. A resend has `seq` of the original decision (0: it had none) and no body.
    `reset` tells that the partition was rebuilt.
    """

    partition: int
    offset: int
    row: str
    seq: int
    body: bytes | None
    reset: bool = False


class LearningRecord(Struct, frozen=True, kw_only=True, array_like=True):
    """What calibrate learns from: one response, seen from the learner's side.

    `features` and `cells` are those of the prediction, `ability` the learner's part of its logit; `log_seconds` the
    natural log of the response time, `pace` the learner's part of it. `guessed` marks a response too quick to mean anything.
    `rating` (1 to 5; 0: none) makes it no response but a rating of `segment`, `passed` that the segment was completed.
    `pull` is what the answer says of how steep levels are: slope of the log likelihood, information. `first` is the same of
    how well skills are known before any practice, from answers to items of such skills; `apart` the logit that was predicted
    of them, without what earlier first answers told. `practised` is of skills practised much and believed to be known: by
    how much the answer was worse than expected, and the variance of that.

    `believed` is how likely a right answer was by what is believed of its skills, had it been tried, and `expected` as it
    came (0: nothing was believed). `quick` is which sort of quick answer it is (6: none). `sharper` is by how much more
    likely a right answer is for each unit by which answers had counted more. `met`: whether the item was met before;
    `practice`: log of one and the tries of its skills so far, 0 where that tells nothing. `held` is what the course was held
    to be like when all this was said: steepness, newness, spread, discrimination (None in older records: as now).
    """

    tenant: str
    course: str
    partition: int
    offset: int
    segment: str
    item: str
    skills: list[str]
    features: list[float]
    ability: float
    correct: bool
    log_seconds: float | None
    pace: float
    guessed: bool
    population: tuple[int, str]
    logged_ms: int
    cells: list[int] = []
    rating: int = 0
    pull: tuple[float, float] = (0.0, 0.0)
    passed: bool = False
    first: tuple[float, float] = (0.0, 0.0)
    practised: tuple[float, float] = (0.0, 0.0)
    apart: float = 0.0
    believed: float = 0.0
    expected: float = 0.0
    quick: int = 6
    sharper: float = 0.0
    met: bool = False
    practice: float = 0.0
    held: tuple[float, float, float, float] | None = None


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str = ""
    status: int = 500
    detail: str = ""
    code: str = ""
    findings: list[dict[str, Any]] | None = None
