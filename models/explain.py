"""One sentence for the learner, in plain words, from the same data that made the choice; templates per language.

A sentence never claims more than the row holds: counts and skills are the learner's own.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

from models.control import Obeyed
from models.entries import SkillState
from models.gain import Score, View
from models.mask import finished
from models.plan import FORM
from models.policy import Choice
from schemas.course import Segment
from schemas.decision import Question, Reply, RunnerUp
from schemas.ids import hash32

TEMPLATES = {
    "en": {
        "finished": "You have finished everything in this course.",
        "closed": "Nothing more of this course is open to you now.",
        "again": "“{title}” once more: what comes after it builds on it.",
        "compulsory": "“{title}” is required for everybody, and now is a good time for it.",
        "requested": "You asked for “{title}”.",
        "authored": "Next in the course as its author arranged it: “{title}”.",
        "holdout": "Next in the course as its author arranged it: “{title}”.",
        "explore": "“{title}” is worth a try now: {evidence}",
        "best": "“{title}” comes next: {evidence}",
        "fallback": "Next in the course as its author arranged it: “{title}”.",
        "probe": "Question {number} of at most {most}, to see whether you can leave out “{title}”.",
        "counts": "you answered {wins} of {tries} right on {skill}.",
        "new": "it introduces {skill}.",
        "due": "it is time to refresh {skill}.",
        "context": "your work asks for {skill} now.",
        "goal": "it leads to your goal, {skill}.",
        "free": "it fits what you have done so far.",
        "ahead": "“{other}” was ahead; others are tried now and then, and chance took this one.",
        "level": "“{other}” was worth as much, and chance took this one.",
        "second": "“{other}” is next in line; it would not have come first however short it was.",
        "minutes": "“{other}” would have come first if it took {needed} minutes in place of {minutes}.",
        "compulsory_reason": "“{title}” is required for everybody, so it stays on your list.",
        "testable_reason": "“{title}” is required for everybody; if you know it, say so and answer questions on it.",
        "prerequisite_reason": "“{title}” comes after something that you have not done yet.",
        "finished_reason": "You have finished “{title}” already.",
        "no_questions_reason": "There are too few questions on “{title}” to test it.",
        "not_yet_reason": "Not quite yet: “{title}” stays on your list.",
        "gone_reason": "This is not in the course any more.",
        "nothing_yet_reason": "There is nothing yet to say this of.",
        "no_such_format_reason": "This course has no such format.",
        "none_left_reason": "There is nothing left for you in this format now; this comes in another.",
        "late_reason": "This is from before you began the course, and came too late to be followed.",
        "no_such_skill_reason": "This course teaches no such skill.",
        "holdout_reason": "You are among the few who get the author's order; this is kept, and changes nothing now.",
        "honoured": "Done as you asked.",
        "waived": "You know “{title}”; it is off your list.",
    },
    "de": {
        "finished": "Sie haben alles in diesem Kurs abgeschlossen.",
        "closed": "Mehr von diesem Kurs steht Ihnen jetzt nicht offen.",
        "again": "„{title}“ noch einmal: was danach kommt, baut darauf auf.",
        "compulsory": "„{title}“ ist für alle verpflichtend; jetzt passt es gut.",
        "requested": "Sie haben „{title}“ gewählt.",
        "authored": "Als Nächstes, wie im Kurs vorgesehen: „{title}“.",
        "holdout": "Als Nächstes, wie im Kurs vorgesehen: „{title}“.",
        "explore": "„{title}“ ist jetzt einen Versuch wert: {evidence}",
        "best": "Als Nächstes kommt „{title}“: {evidence}",
        "fallback": "Als Nächstes, wie im Kurs vorgesehen: „{title}“.",
        "probe": "Frage {number} von höchstens {most}, ob Sie „{title}“ auslassen können.",
        "counts": "bei {skill} waren {wins} von {tries} Antworten richtig.",
        "new": "hier beginnt {skill}.",
        "due": "es ist Zeit, {skill} aufzufrischen.",
        "context": "Ihre Arbeit verlangt jetzt {skill}.",
        "goal": "es führt zu Ihrem Ziel, {skill}.",
        "free": "es passt zu dem, was Sie bisher gemacht haben.",
        "ahead": "„{other}“ lag vorn; ab und zu kommt anderes an die Reihe, und der Zufall wählte dies.",
        "level": "„{other}“ war ebenso viel wert, und der Zufall wählte dies.",
        "second": "„{other}“ ist das nächste; kürzer wäre es auch nicht zuerst gekommen.",
        "minutes": "„{other}“ wäre zuerst gekommen, wenn es {needed} statt {minutes} Minuten dauerte.",
        "compulsory_reason": "„{title}“ ist für alle verpflichtend und bleibt auf Ihrer Liste.",
        "testable_reason": "„{title}“ ist für alle verpflichtend; wer es kann, sagt es und beantwortet Fragen dazu.",
        "prerequisite_reason": "„{title}“ kommt nach etwas, das Sie noch nicht gemacht haben.",
        "finished_reason": "„{title}“ haben Sie schon abgeschlossen.",
        "no_questions_reason": "Zu „{title}“ gibt es zu wenige Fragen für eine Prüfung.",
        "not_yet_reason": "Noch nicht ganz: „{title}“ bleibt auf Ihrer Liste.",
        "gone_reason": "Das gibt es in diesem Kurs nicht mehr.",
        "nothing_yet_reason": "Es gibt noch nichts, wofür das gelten könnte.",
        "no_such_format_reason": "Dieses Format gibt es im Kurs nicht.",
        "none_left_reason": "In diesem Format ist jetzt nichts mehr für Sie da; dies kommt in einem anderen.",
        "late_reason": "Dies ist aus der Zeit vor Ihrem Beginn und kam zu spät, um noch zu gelten.",
        "no_such_skill_reason": "Diese Fertigkeit kommt im Kurs nicht vor.",
        "holdout_reason": "Für Sie gilt die Reihenfolge des Kurses; dies ist gemerkt, ändert aber nichts.",
        "honoured": "Wie gewünscht.",
        "waived": "Sie können „{title}“; es steht nicht mehr auf Ihrer Liste.",
    },
}
TOP_TERMS = 5
ROUNDING = 1e-6
"""What comes so near to a tenth of a minute is that tenth."""


def sentence(view: View, choice: Choice, question: Question | None = None) -> str:
    """Why this segment, in the course's language (English where we have no templates for it)."""
    words = _words(view.course.language)
    if choice.segment is None:
        return words["closed" if choice.unfinished else "finished"]
    again = choice.fallback and finished(view.row.segments.get(hash32(choice.segment.id), 0))
    kind = "again" if again else "fallback" if choice.fallback else choice.arm
    return words[kind].format(
        title=_title(choice.segment),
        evidence=_evidence(view, choice.segment, words) if kind in ("best", "explore") else "",
        number=question.number if question else 0,
        most=question.most if question else 0,
    )


def reply(view: View, obeyed: Obeyed | None) -> Reply | None:
    """What became of the learner's own choice, in words."""
    if obeyed is None:
        return None
    words = _words(view.course.language)
    kind = f"{obeyed.reason}_reason" if obeyed.reason else "waived" if obeyed.waived is not None else "honoured"
    about = obeyed.waived or obeyed.about
    told = words[kind].format(title=_title(about) if about is not None else "")
    if obeyed.also:
        told += " " + words[f"{obeyed.also}_reason"]
    return Reply(obeyed.action, not obeyed.reason, obeyed.reason, told, obeyed.offers)


@lru_cache(maxsize=256)
def _words(language: str) -> dict[str, str]:
    return TEMPLATES.get(language.split("-", maxsplit=1)[0].lower(), TEMPLATES["en"])


def _title(segment: Segment) -> str:
    return segment.title or segment.id


def _evidence(view: View, segment: Segment, words: dict[str, str]) -> str:
    """The strongest reason that the row has for this segment."""
    row = view.row
    if not segment.skills:
        return words["free"]
    if row.goal or row.context:
        keys: dict[int, str] = {hash32(skill): skill for skill in segment.skills}
        if row.goal in keys:
            return words["goal"].format(skill=_skill_title(view, keys[row.goal]))
        asked = next((keys[key] for key in row.context if key in keys), None)
        if asked is not None:
            return words["context"].format(skill=_skill_title(view, asked))
    name = view.plan.entries[view.course.places[segment.id]].strongest
    state: SkillState | None = row.skills.get(hash32(name))
    if finished(row.segments.get(hash32(segment.id), 0)):
        return words["due"].format(skill=_skill_title(view, name))
    if state is None or state.tries == 0:
        return words["new"].format(skill=_skill_title(view, name))
    return words["counts"].format(wins=state.wins, tries=state.tries, skill=_skill_title(view, name))


def _skill_title(view: View, name: str) -> str:
    return view.course.skill_titles.get(name) or name


def top_terms(chosen: Score | None) -> list[tuple[str, float]]:
    """The largest parts of a score, at most TOP_TERMS of them."""
    if chosen is None:
        return []
    return sorted(chosen.terms, key=lambda term: (-abs(term[1]), term[0]))[:TOP_TERMS]


def runner_up(view: View, choice: Choice) -> RunnerUp | None:
    """The next best segment, and what would have made it the choice: how short it would have to be, or just chance."""
    if choice.runner_up is None or choice.best is None:
        return None
    words, other = _words(view.course.language), choice.runner_up.segment
    theirs, ours = choice.runner_up.value, choice.best.value
    if theirs >= ours:
        needs = words["ahead" if theirs > ours else "level"].format(other=_title(other))
    else:
        as_much = 10.0 * other.minutes * _minutes_share(view, choice.best.segment, other, theirs / ours)
        needed = (ceil(as_much - ROUNDING) - 1) / 10.0
        kind = "minutes" if needed > 0.0 else "second"
        needs = words[kind].format(other=_title(other), needed=f"{needed:.1f}", minutes=f"{other.minutes:.1f}")
    return RunnerUp(other.id, theirs, needs)


def _minutes_share(view: View, chosen: Segment, other: Segment, share: float) -> float:
    """The share of its minutes at which `other`, worth a `share` of `chosen`, would be worth as much: its minutes also say
    what a question of its format stands for (models.plan.forms)."""
    if other.format == chosen.format:
        return share
    alike = view.plan.formats[hash32(other.format)].bit_count()
    return float(share ** (1.0 / (1.0 - FORM / alike)))
