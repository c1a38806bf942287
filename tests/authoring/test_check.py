"""What authors are told about their courses."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from authoring.check import check
from authoring.load import load_course, parse_course
from schemas.course import Course
from schemas.errors import Code, Rejection
from tests.factories import course, course_json

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "examples" / "personal-data.yaml"


def errors_of(given: Course) -> list[str]:
    return [finding.message for finding in check(given) if finding.error]


def errors(**fields: Any) -> list[str]:
    return errors_of(course(**fields))


def segment(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "title": name, "skills": {"a": 1.0}, **fields}


def test_the_sample_course_is_good_and_as_large_as_promised() -> None:
    sample = load_course(SAMPLE)
    assert check(sample) == []
    assert len(sample.skills) >= 8 and len(sample.segments) >= 30
    assert sum(each.compulsory for each in sample.segments) >= 3
    assert all(40 < len(each.body) < 600 and each.items for each in sample.segments)
    assert all(len(item.options) > 1 and item.feedback for each in sample.segments for item in each.items)


def test_the_course_on_the_page_for_authors_can_be_published() -> None:
    _, _, after = (ROOT / "docs" / "courses.md").read_text().partition("```yaml\n")
    given = parse_course(after.partition("```")[0].encode(), "courses.md")
    assert given.segments and not any(finding.error for finding in check(given))


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "at least one segment"),
        ([segment("x"), segment("x")], "there 2 times"),
        ([segment("x", skills={"zz": 1.0})], "no skill 'zz'"),
        ([segment("x", prerequisites=[{"segment": "nowhere"}])], "no segment 'nowhere'"),
        ([segment("x", prerequisites=[{}])], "either a segment or a skill"),
        ([segment("x", prerequisites=[{"segment": "y"}]), segment("y", prerequisites=[{"segment": "x"}])], "for ever"),
        ([segment("x", prerequisites=[{"segment": "x"}])], "for ever"),
        ([segment("x", compulsory=True, prerequisites=[{"skill": "a"}])], "Compulsory content"),
        ([segment("y", prerequisites=[{"skill": "a"}]), segment("x", compulsory=True, prerequisites=[{"segment": "y"}])],
         "Compulsory content"),
        ([segment("x", prerequisites=[{"skill": "a"}])], "Nobody comes here"),
        ([segment("x", prerequisites=[{"skill": "b"}]), segment("y", skills={"b": 1.0}, prerequisites=[{"skill": "a"}])],
         "Nobody comes here"),
        ([segment("x"), segment("y", prerequisites=[{"skill": "a", "mastery": 0.99}])], "hardly ever"),
        ([segment("x", items=[{"id": "q", "options": ["a", "b"], "answer": 2}])], "no option number 2"),
    ],
)  # fmt: skip
def test_what_would_hurt_learners_is_an_error(segments: list[dict[str, Any]], message: str) -> None:
    assert any(message in error for error in errors(segments=segments))


def test_skills_that_build_on_each_other_are_an_error() -> None:
    assert errors(skills=[{"id": "a", "builds_on": ["b"]}, {"id": "b", "builds_on": ["a"]}])


def test_long_chains_do_not_overflow() -> None:
    chain = [segment(f"s{n}", prerequisites=[{"segment": f"s{n - 1}"}] if n else []) for n in range(3_000)]
    assert not [error for error in errors(segments=chain) if "ever" in error]


def test_advice_is_only_a_warning() -> None:
    found = check(course(segments=[{"id": "x"}]))
    assert found and not any(finding.error for finding in found)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"id: [", Code.MALFORMED),
        (b"- just\n- a list", Code.INVALID),
        (b"id: 7\nversion: '1'", Code.INVALID),
        (b"id: x\nversion: '1'\nsegmnets: []", Code.INVALID),
        (
            b"a: &a [1,2,3,4,5,6,7,8,9]\n"
            + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)),
            Code.TOO_LARGE,
        ),
        (b"id: x\nversion: '1'\nsegments: &s [*s]", Code.TOO_LARGE),
        (b"!!python/object/apply:os.system ['true']", Code.MALFORMED),
    ],
)
def test_a_file_that_is_no_course_is_rejected_with_its_name(text: bytes, code: Code) -> None:
    with pytest.raises(Rejection, match=r"course\.yaml") as caught:
        parse_course(text, "course.yaml")
    assert caught.value.code == code


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Rejection, match="cannot be read"):
        load_course(tmp_path / "none.yaml")


def test_the_course_of_tests_is_good() -> None:
    assert not errors(**course_json())


def test_advice_on_floors_and_on_testing_out() -> None:
    given = [segment(f"s{n}", floor=0.2, items=[{"id": f"q{n}"}], test_out=n == 0) for n in range(2)]
    told = [finding.message for finding in check(course(segments=given)) if not finding.error]
    assert any("takes 1 more question on" in message for message in told) and not any("floors" in m for m in told)
    more = check(course(segments=[segment(f"s{n}", floor=0.2, items=[{"id": f"q{n}"}], test_out=n == 0) for n in range(3)]))
    told = [finding.message for finding in more]
    assert any("All floors together are 0.60" in message for message in told) and not any("question" in m for m in told)


def test_a_large_course_is_checked_in_time_that_grows_with_it() -> None:
    """Whichever way they wait for each other."""

    def seconds(count: int) -> float:
        chain = [{"id": f"s{n}", "skills": {"a": 1.0}, "prerequisites": [{"segment": f"s{n + 1}"}], "test_out": True,
                  "items": [{"id": f"i{n}"}]} for n in range(count)]  # fmt: skip
        given = course(segments=[*chain, {"id": f"s{count}", "skills": {"a": 1.0}}])
        begin = perf_counter()
        assert errors_of(given) == []
        return perf_counter() - begin

    few, many = min(seconds(100) for _ in range(3)), min(seconds(1_600) for _ in range(3))
    assert many < 64 * few, "16 times as many would take 256 times as long if each looked at all others"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id: x\nversion: '1'\nversion: '2'\n", "given twice"),
        (b"id: x\nversion: 1\n", "in quotes"),
        (b"", "got nothing"),
        (b'id: x\nversion: "1"\ntitle: "\\ud800"\n', "half of a character"),
        (b"id: ..\nversion: '1'\n", "id"),
        (b'id: "x\\n"\nversion: "1"\n', "id"),
    ],
)
def test_what_a_file_cannot_mean_is_said(text: bytes, message: str) -> None:
    with pytest.raises(Rejection, match=message):
        parse_course(text, "course.yaml")


def test_merge_keys_work_and_cannot_grow_without_end() -> None:
    merged = parse_course(b"id: x\nversion: '1'\nskills:\n- &a {id: s, title: S}\n- {<<: *a, id: t}\n", "x")
    assert [(skill.id, skill.title) for skill in merged.skills] == [("s", "S"), ("t", "S")]
    grown = "".join(f"k{n}: &k{n} {{<<: [{', '.join([f'*k{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
    with pytest.raises(Rejection, match="merged into one"):
        parse_course(f"k0: &k0 {{a: 1}}\n{grown}".encode(), "x")


def test_advice_names_languages_without_sentences_and_deadlines_of_what_is_not_compulsory() -> None:
    given = course(language="fr", segments=[segment("x", deadline_days=3)])
    told = [finding.message for finding in check(given) if not finding.error]
    assert any("'fr'" in each for each in told) and any("deadline" in each for each in told)
