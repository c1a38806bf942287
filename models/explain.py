"""One sentence for the learner, in plain words, from the same data that made the choice; templates per language.

A sentence never claims more than the row holds: counts and skills are the learner's own.
"""

from __future__ import annotations

from models.gain import Score, View
from models.policy import Choice
from models.row import SkillState
from schemas.course import Segment
from schemas.decision import RunnerUp
from schemas.ids import hash32

TEMPLATES = {
    "en": {
        "finished": "You have finished everything in this course.",
        "compulsory": "“{title}” is required for everybody, and now is a good time for it.",
        "requested": "You asked for “{title}”.",
        "authored": "Next in the course as its author arranged it: “{title}”.",
        "holdout": "Next in the course as its author arranged it: “{title}”.",
        "explore": "“{title}” is worth a try now: {evidence}",
        "best": "“{title}” comes next: {evidence}",
        "fallback": "Next in the course as its author arranged it: “{title}”.",
        "counts": "you answered {wins} of {tries} right on {skill}.",
        "new": "it introduces {skill}.",
        "free": "it fits what you have done so far.",
    },
    "de": {
        "finished": "Sie haben alles in diesem Kurs abgeschlossen.",
        "compulsory": "„{title}“ ist für alle verpflichtend; jetzt passt es gut.",
        "requested": "Sie haben „{title}“ gewählt.",
        "authored": "Als Nächstes, wie im Kurs vorgesehen: „{title}“.",
        "holdout": "Als Nächstes, wie im Kurs vorgesehen: „{title}“.",
        "explore": "„{title}“ ist jetzt einen Versuch wert: {evidence}",
        "best": "Als Nächstes „{title}“: {evidence}",
        "fallback": "Als Nächstes, wie im Kurs vorgesehen: „{title}“.",
        "counts": "bei {skill} waren {wins} von {tries} Antworten richtig.",
        "new": "hier beginnt {skill}.",
        "free": "es passt zu dem, was Sie bisher gemacht haben.",
    },
}
TOP_TERMS = 5


def sentence(view: View, choice: Choice) -> str:
    """Why this segment, in the course's language (English where we have no templates for it)."""
    words = TEMPLATES.get(view.course.language.split("-")[0].lower(), TEMPLATES["en"])
    if choice.segment is None:
        return words["finished"]
    kind = "fallback" if choice.fallback else choice.arm
    return words[kind].format(
        title=choice.segment.title or choice.segment.id,
        evidence=_evidence(view, choice.segment, words) if kind in ("best", "explore") else "",
    )


def _evidence(view: View, segment: Segment, words: dict[str, str]) -> str:
    if not segment.skills:
        return words["free"]
    name = max(segment.skills, key=lambda skill: (segment.skills[skill], skill))
    title = next((skill.title for skill in view.course.skills if skill.id == name), "") or name
    state: SkillState | None = view.row.skills.get(hash32(name))
    if state is None or state.tries == 0:
        return words["new"].format(skill=title)
    return words["counts"].format(wins=state.wins, tries=state.tries, skill=title)


def top_terms(chosen: Score | None) -> list[tuple[str, float]]:
    """The largest parts of a score, at most TOP_TERMS of them."""
    if chosen is None:
        return []
    return sorted(chosen.terms, key=lambda term: (-abs(term[1]), term[0]))[:TOP_TERMS]


def runner_up(choice: Choice) -> RunnerUp | None:
    """The next best segment and what it lacked."""
    if choice.runner_up is None or choice.best is None:
        return None
    lacking = choice.best.value - choice.runner_up.value
    needs = f"{lacking:.4f} more gain per minute" if lacking > 0 else "nothing: the other was drawn to explore"
    return RunnerUp(choice.runner_up.segment.id, choice.runner_up.value, needs)
