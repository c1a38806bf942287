"""The insight agent: does it help, whom, and what is a segment worth?

Comes in: interactions in the order of the log, partition by partition, each with the decision that it caused and the row
before it. Goes out: a report a course. Outcomes are measured with one population, the newest, for everybody. A visit begins
when something happens in another segment than before; what a free, followed choice was worth is the change of mean mastery
in the visit that it led to, per hour. Forced choices stay out. Who is held out is known from the names and the course
version in which they began; which segments a decision chose among, from the version in which it was made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.estimates import Estimate, Logged, difference, mean_of, values_of
from agents.reports import CohortReport, CourseReport, SegmentReport, Trouble
from models.behaviour import states
from models.mastery import masteries
from models.plan import learned_of
from models.policy import UNIFORM_SHARE, is_held_out
from models.population import Population
from models.row import COMPLETED, SKIPPED, WAIVED, Row
from schemas.course import Course
from schemas.decision import Decision
from schemas.events import BY_GATEWAYS
from schemas.ids import RowId, hash32
from schemas.interaction import Interaction

LONGEST_PAUSE_MS, RETENTION_MS = 10 * 60_000, 20 * 3_600_000
LEAST_VISIT_HOURS = 0.5 / 60
AFTER_WAIVER, WAIVER_HELD = 5, 0.6
MASTERED = 0.8
ALTERNATIVES = ("authored", "uniform", "greedy")
TROUBLE = ("struggling", "wheel_spinning")


@dataclass(slots=True)
class _Visit:
    segment: str
    began_ms: int
    mastery: float | None = None
    choice: Decision | None = None


@dataclass(slots=True)
class _Story:
    """One learner's passage, as far as it was read."""

    held_out: bool
    minutes: float = 0.0
    last_ms: int | None = None
    decisions: int = 0
    first_mastery: float | None = None
    mastery: float | None = None
    visit: _Visit | None = None
    free: Decision | None = None
    practised: dict[str, int] = field(default_factory=dict)
    retained: list[int] = field(default_factory=list)
    waived: dict[str, list[int]] = field(default_factory=dict)
    skills: list[float] = field(default_factory=list)
    finished: bool = False


class Insight:
    """Collects one course. `see` in the order of the log within each partition; `report` when all was read. `logged`: what
    free choices that were followed were worth."""

    def __init__(self, tenant: str, course: Course, population: Population,
                 versions: Mapping[str, Course] | None = None) -> None:  # fmt: skip
        self._tenant, self._course, self._population = tenant, course, population
        self._versions = {course.version: course} if versions is None else versions
        self._stories: dict[str, _Story] = {}
        self._segments = {segment.id: SegmentReport(id=segment.id) for segment in course.segments}
        self._shown: dict[str, set[str]] = defaultdict(set)
        self._stars: dict[str, list[int]] = defaultdict(list)
        self._arms: Counter[str] = Counter()
        self.logged: list[Logged] = []

    def see(self, said: Interaction, decision: Decision | None, before: bytes | None) -> None:
        """Take one interaction, with the decision that it caused and the row before it."""
        if said.event.course != self._course.id or said.stamp.tenant != self._tenant or said.event.type in BY_GATEWAYS:
            return
        key, event = said.key, said.event
        story = self._stories.get(key)
        if story is None:
            held = is_held_out(self._versions.get(said.stamp.course_version, self._course), self._tenant, event.learner)
            story = self._stories[key] = _Story(held)
        now_ms = int(event.at.timestamp() * 1000) if event.at is not None else said.stamp.logged_ms
        self._pass_time(story, now_ms)
        if decision is not None:
            self._see_row(story, before, now_ms)
        if event.segment in self._segments:
            self._see_segment(story, event.segment, now_ms, key)
        if event.type == "answered" and event.segment in self._segments and event.item is not None:
            self._see_answer(story, event.segment, event.item, bool(event.correct), now_ms)
        if event.type == "rated" and event.segment is not None and event.rating is not None:
            self._stars[event.segment].append(event.rating)
        if decision is not None:
            self._see_decision(story, decision, key)

    def _pass_time(self, story: _Story, now_ms: int) -> None:
        if story.last_ms is not None:
            story.minutes += min(max(now_ms - story.last_ms, 0), LONGEST_PAUSE_MS) / 60_000
        story.last_ms = now_ms

    def _see_row(self, story: _Story, before: bytes | None, now_ms: int) -> None:
        row = Row.unpack(before) if before else Row()
        skills = self._masteries(row)
        story.mastery = sum(skills) / len(skills) if skills else None
        if story.first_mastery is None:
            story.first_mastery = story.mastery
        if story.visit is not None and story.visit.mastery is None:
            story.visit.mastery = story.mastery

    def _see_segment(self, story: _Story, segment: str, now_ms: int, key: str) -> None:
        visit = story.visit
        if visit is not None and visit.segment == segment:
            return
        if visit is not None and visit.choice is not None and visit.mastery is not None and story.mastery is not None:
            hours = max(min(now_ms - visit.began_ms, 6 * LONGEST_PAUSE_MS) / 3_600_000, LEAST_VISIT_HOURS)
            self._log(key, visit.choice, 100.0 * (story.mastery - visit.mastery) / hours)
        followed = story.free if story.free is not None and story.free.segment == segment else None
        story.visit, story.free = _Visit(segment, now_ms, story.mastery, followed), None

    def _see_answer(self, story: _Story, segment: str, item: str, correct: bool, now_ms: int) -> None:
        for skill in self._course.skills_of(segment, item):
            last = story.practised.get(skill)
            if last is not None and now_ms - last >= RETENTION_MS:
                story.retained.append(int(correct))
            story.practised[skill] = now_ms
            for waived, answers in story.waived.items():
                if skill in self._course.by_id[waived].skills and len(answers) < AFTER_WAIVER:
                    answers.append(int(correct))

    def _see_decision(self, story: _Story, decision: Decision, key: str) -> None:
        story.decisions += 1
        self._arms[decision.arm] += 1
        story.free = None if decision.forced or decision.fallback else decision
        story.finished |= decision.arm == "finished"
        reply = decision.reply
        if reply is not None and reply.action == "know" and reply.honoured and decision.probe is None and story.visit:
            story.waived.setdefault(story.visit.segment, [])
        if decision.segment is None or decision.segment not in self._segments:
            return
        told = self._segments[decision.segment]
        told.chosen += 1
        self._shown[decision.segment].add(key)
        if not decision.forced:
            told.least_propensity = min(told.least_propensity or 1.0, decision.propensity)
            share = UNIFORM_SHARE / max(1, int(decision.eligible, 16).bit_count())
            told.floor_met &= decision.propensity >= share - 1e-9

    def _log(self, key: str, choice: Decision, reward: float) -> None:
        made_in = self._versions.get(choice.course_version)
        if choice.segment is None or made_in is None:
            return
        eligible = int(choice.eligible, 16)
        names = [segment.id for place, segment in enumerate(made_in.segments) if eligible >> place & 1]
        best = choice.segment if choice.arm == "best" or choice.runner_up is None else choice.runner_up.segment
        targets = {
            "authored": float(choice.segment == choice.next_authored),
            "uniform": 1.0 / max(1, len(names)),
            "greedy": float(choice.segment == best),
        }
        models = {"authored": [choice.next_authored] if choice.next_authored else [], "uniform": names, "greedy": [best]}
        self.logged.append(Logged(key, choice.segment, choice.propensity, reward, targets, models))

    def _masteries(self, row: Row) -> list[float]:
        """By prediction: beliefs assume that practice teaches, and what is to be shown must not be assumed."""
        effects = learned_of(self._course, self._population).effects
        found = masteries(row, effects, row.last_at_ms, believed=False)
        return [found[effects.places[hash32(skill.id)]] for skill in self._course.skills]

    def report(self, rows: Mapping[str, Row], cohorts: Mapping[str, str]) -> CourseReport:
        """What was found. `rows` as the view has them now, `cohorts` a label by learner, where there are any."""
        mine = {key: row for key, row in rows.items() if key in self._stories}
        for key, row in mine.items():
            self._end(self._stories[key], row)
        uplift = self._uplift()
        values = values_of(self.logged, ALTERNATIVES) if self.logged else {}
        return CourseReport(
            course=self._course.id,
            learners=len(self._stories),
            held_out=sum(story.held_out for story in self._stories.values()),
            decisions=sum(story.decisions for story in self._stories.values()),
            arms=dict(self._arms),
            segments=self._segment_reports(mine),
            uplift=uplift,
            effect_shown=uplift["mastery_per_hour"].shown,
            summary=_summary(uplift["mastery_per_hour"]),
            false_skips=_false_skips(list(self._stories.values())),
            values=values,
            followed=len(self.logged),
            cohorts=self._cohorts(cohorts),
            trouble=self._trouble(mine),
        )

    def _end(self, story: _Story, row: Row) -> None:
        story.skills = self._masteries(row)
        story.mastery = sum(story.skills) / len(story.skills) if story.skills else None
        required = [segment.id for segment in self._course.segments if segment.compulsory]
        done = [bool(row.segments.get(hash32(name), 0) & (COMPLETED | WAIVED)) for name in required]
        story.finished |= bool(required) and all(done)

    def _uplift(self) -> dict[str, Estimate]:
        stories = [story for story in self._stories.values() if story.decisions]
        found = {}
        for name, measure in MEASURES.items():
            ours = [value for story in stories if not story.held_out and (value := measure(story)) is not None]
            theirs = [value for story in stories if story.held_out and (value := measure(story)) is not None]
            found[name] = difference(ours, theirs)
        return found

    def _segment_reports(self, rows: Mapping[str, Row]) -> list[SegmentReport]:
        for name, told in self._segments.items():
            marks = [row.segments.get(hash32(name), 0) for row in rows.values()]
            told.completed = sum(bool(mark & COMPLETED) for mark in marks)
            told.skipped = sum(bool(mark & SKIPPED) for mark in marks)
            told.waived = sum(bool(mark & WAIVED) for mark in marks)
            told.learners, stars = len(self._shown[name]), self._stars[name]
            told.ratings, told.rating = len(stars), round(sum(stars) / len(stars), 2) if stars else None
        return list(self._segments.values())

    def _trouble(self, rows: Mapping[str, Row]) -> list[Trouble]:
        """Who struggles now, by name."""
        found = []
        for key, row in sorted(rows.items()):
            tries = {skill.id: state.tries for skill in self._course.skills if (state := row.skills.get(hash32(skill.id)))}
            masteries = dict(zip((skill.id for skill in self._course.skills), self._stories[key].skills, strict=True))
            shown = states(row, {skill: (count, masteries[skill]) for skill, count in tries.items()})
            name = RowId.parse(key)
            found += [Trouble(name.learner, name.run, s.name, dict(s.evidence)) for s in shown if s.name in TROUBLE]
        return found

    def _cohorts(self, labels: Mapping[str, str]) -> dict[str, CohortReport]:
        groups: dict[str, list[_Story]] = defaultdict(list)
        for key, story in self._stories.items():
            label = labels.get(RowId.parse(key).learner)
            if label is not None and story.decisions:
                groups[label].append(story)
        return {
            label: _beside(group, [story for other, others in groups.items() if other != label for story in others])
            for label, group in sorted(groups.items())
        }


def _beside(group: Sequence[_Story], others: Sequence[_Story]) -> CohortReport:
    """A cohort minus all others."""
    found = {
        "decisions": difference([s.decisions for s in group], [s.decisions for s in others]),
        "mastery_per_hour": difference(_all_per_hour(group), _all_per_hour(others)),
        "minutes": difference([s.minutes for s in group], [s.minutes for s in others]),
        "false_skips": difference(_broken(group), _broken(others)),
    }
    return CohortReport(len(group), **found, alarms=[name for name, each in found.items() if each.shown])


def _per_hour(story: _Story) -> float | None:
    """Points of mean mastery (of 100) an hour."""
    if story.mastery is None or story.first_mastery is None or story.minutes < 1.0:
        return None
    return 100.0 * (story.mastery - story.first_mastery) / (story.minutes / 60.0)


def _all_per_hour(stories: Sequence[_Story]) -> list[float]:
    return [value for story in stories if (value := _per_hour(story)) is not None]


def _broken(stories: Sequence[_Story]) -> list[float]:
    """For each learner with waivers that were put to the test later: the share that did not hold."""
    found = []
    for story in stories:
        tested = [answers for answers in story.waived.values() if len(answers) >= AFTER_WAIVER]
        if tested:
            found.append(sum(sum(each) / len(each) < WAIVER_HELD for each in tested) / len(tested))
    return found


def _false_skips(stories: Sequence[_Story]) -> Estimate:
    """Share of waivers after which fewer than WAIVER_HELD of the next AFTER_WAIVER answers on their skills were right."""
    return mean_of(_broken(stories))


def _share_mastered(story: _Story) -> float | None:
    return sum(each >= MASTERED for each in story.skills) / len(story.skills) if story.skills else None


def _completion(story: _Story) -> float | None:
    return float(story.finished)


def _retention(story: _Story) -> float | None:
    """Share of right answers on skills that were not practised for RETENTION_MS."""
    return sum(story.retained) / len(story.retained) if story.retained else None


def _minutes_to_finish(story: _Story) -> float | None:
    return story.minutes if story.finished else None


MEASURES: Mapping[str, Callable[[_Story], float | None]] = {
    "mastery_per_hour": _per_hour,
    "share_mastered": _share_mastered,
    "completion": _completion,
    "delayed_retention": _retention,
    "minutes_of_those_who_finished": _minutes_to_finish,
}


def _summary(effect: Estimate) -> str:
    if effect.value is None:
        return "No effect can be told: nobody is held out yet, or nobody is personalised."
    if effect.low is None or effect.high is None:
        return "No effect is shown: too few learners to tell."
    told = f"{effect.value:+.1f} points of mastery an hour (95 %: {effect.low:+.1f} to {effect.high:+.1f})"
    if not effect.shown:
        return f"Personalisation is not shown to help: {told}."
    return f"Personalisation {'helps' if effect.low > 0 else 'HARMS'}: {told}."
