"""A running gateway, attacked: every bad input gets a clear answer, the service goes on, nothing else is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from simulator.client import Client, Told
from tests.e2e.harness import Running, reader, running
from tests.factories import course_json, event_json


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("edges"), None) as place:
        answer = http(place).put("/v1/courses/tiny", json=course_json())
        assert answer.status_code == 201, answer.text
        yield place


def http(place: Running) -> httpx.Client:
    return httpx.Client(base_url=place.service.url, headers={"Authorization": f"Bearer {place.service.key}"}, timeout=20)


def event(**fields: Any) -> dict[str, Any]:
    return event_json(uuid4().hex, **fields)


def post(place: Running, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with http(place) as client:
        return client.post("/v1/events", content=content, headers={"Content-Type": "application/json", **headers})


def test_an_event_is_accepted_with_its_place_in_the_log(place: Running) -> None:
    sent = event()
    answer = post(place, sent)
    assert answer.status_code == 202
    (accepted,) = answer.json()["accepted"]
    assert accepted["id"] == sent["id"] and accepted["offset"] >= 0


BAD = [
    (b'{"id": "', 400, "malformed"),
    (b"[{}, ", 400, "malformed"),
    (b"\x00\xff", 400, "malformed"),
    (json.dumps(event_json()).replace("5000", "NaN").encode(), 400, "malformed"),
    (event_json(latency_ms=2**64), 422, "invalid"),
    (event_json(course="nowhere"), 404, "unknown_course"),
    (event_json(segment="nowhere"), 422, "unknown_segment"),
    (event_json(type="danced"), 422, "unknown_type"),
    (event_json(correct="yes"), 422, "invalid"),
    (json.dumps(event_json()).encode()[:-1] + b',"learner":"eve"}', 400, "duplicate_key"),
    (b'{"deep": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", 400, "too_deep"),
    (b"[" * 100_000, 400, "too_deep"),
    (b" " * (2 * 1024 * 1024), 413, "too_large"),
    (event_json(response="x" * 70_000), 413, "too_large"),
    (b"[" + b"{}," * 1_000 + b"{}]", 413, "too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD)
def test_bad_input_gets_a_clear_answer_and_the_service_goes_on(place: Running, body: Any, status: int, code: str) -> None:
    answer = post(place, body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["code"] == code and told["detail"] and told["title"]
    assert post(place, event()).status_code == 202


def test_good_events_of_a_list_are_accepted_beside_bad_ones(place: Running) -> None:
    answer = post(place, [event(), event(segment="nowhere"), 7, event()])
    assert answer.status_code == 202
    assert len(answer.json()["accepted"]) == 2
    assert [(bad["index"], bad["code"]) for bad in answer.json()["rejected"]] == [(1, "unknown_segment"), (2, "invalid")]


def test_the_same_event_again_is_accepted_and_has_one_effect(place: Running) -> None:
    sent = event(learner="twice")
    first = post(place, sent, Prefer="wait=5000")
    again = post(place, sent, Prefer="wait=5000")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json(), "a resend gets the original decision"


def test_an_id_with_another_body_is_a_conflict(place: Running) -> None:
    sent = event(learner="reuse")
    assert post(place, sent).status_code == 202
    answer = post(place, {**sent, "correct": False})
    assert (answer.status_code, answer.json()["code"]) == (409, "id_reused")


def test_waiting_answers_with_the_decision_made_for_the_event(place: Running) -> None:
    sent = event(learner="waiter")
    answer = post(place, sent, Prefer="wait=5000")
    decision = answer.json()
    assert answer.status_code == 200 and answer.headers["preference-applied"] == "wait"
    assert (decision["for_event"], decision["seq"], decision["fallback"]) == (sent["id"], 1, False)
    assert decision["why"] and 0 < decision["propensity"] <= 1 and 0 < decision["predicted"] < 1


def test_at_the_deadline_a_fallback_is_given_and_marked(place: Running) -> None:
    answer = post(place, event(learner="hurried"), Prefer="wait=0")
    decision = answer.json()
    assert answer.status_code == 200
    if decision["seq"] is None:
        assert decision["fallback"] and decision["segment"] == "a2", "never the one just answered"


def test_events_that_ask_for_nothing_are_not_waited_for(place: Running) -> None:
    sent = event(type="rendered", item=None, correct=None, latency_ms=None)
    assert post(place, sent, Prefer="wait=5000").status_code == 202


def test_the_latest_decision_can_be_asked_for(place: Running) -> None:
    with http(place) as client:
        assert client.get("/v1/courses/tiny/learners/nobody/decision").status_code == 404
        assert client.get(f"/v1/courses/tiny/learners/{'n' * 129}/decision").status_code == 422
        decided = post(place, event(learner="l a/t ü"), Prefer="wait=5000").json()
        found = client.get("/v1/courses/tiny/learners/l%20a%2Ft%20%C3%BC/decision")
        assert found.status_code == 200 and found.json() == decided
        found = client.get("/v1/courses/tiny/learners/twice/decision")
        assert found.json()["learner"] == "twice"


def test_without_the_key_nothing_is_told(place: Running) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        with httpx.Client(base_url=place.service.url, headers=headers) as client:
            for method, path in (("POST", "/v1/events"), ("GET", "/v1/courses"), ("PUT", "/v1/courses/tiny"),
                                 ("GET", "/.well-known/mercure?match=/courses/tiny/learners/ana/decisions"),
                                 ("GET", "/v1/courses/tiny/learners/ana/decision")):  # fmt: skip
                answer = client.request(method, path)
                assert answer.status_code == 401 and "Bearer" in answer.headers["www-authenticate"]


def test_a_published_course_version_never_changes(place: Running) -> None:
    with http(place) as client:
        assert client.put("/v1/courses/tiny", json=course_json()).status_code == 200
        other = client.put("/v1/courses/tiny", json=course_json(title="Other"))
        assert (other.status_code, other.json()["code"]) == (409, "version_taken")
        broken = course_json(version="2", segments=[{"id": "x", "prerequisites": [{"segment": "y"}]}])
        refused = client.put("/v1/courses/tiny", json=broken)
        assert refused.status_code == 422 and refused.json()["findings"]
        assert client.put("/v1/courses/elsewhere", json=course_json()).status_code == 422
        assert client.get("/v1/courses/tiny").json()["version"] == "1"


def test_health_metrics_and_api_description_are_served(place: Running) -> None:
    with http(place) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200
        assert "segue_events_accepted_total" in client.get("/metrics").text
        description = client.get("/openapi.json").json()
        assert {"/v1/events", "/.well-known/mercure", "/v1/courses/{course}"} <= set(description["paths"])
        assert {"Event", "Decision", "Course"} <= set(description["components"]["schemas"])
        assert client.get("/docs").status_code == 200
        assert client.get("/nowhere").headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("topic", ["", "/courses/x", "/courses//learners/l/decisions", "nonsense", "/a/b/c/d/e"])
def test_what_is_no_topic_is_refused(place: Running, topic: str) -> None:
    with http(place) as client:
        assert client.get("/.well-known/mercure", params={"match": topic}).status_code == 422


async def test_a_head_without_end_is_cut_off_and_a_client_that_leaves_hurts_nobody(place: Running) -> None:
    host, port = place.service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n")
    sent = 0
    with suppress(ConnectionError):
        async with asyncio.timeout(30):
            while not reader.at_eof():
                writer.write(b"X-Long: " + b"a" * 8_000 + b"\r\n")
                await writer.drain()
                sent += 8_000
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.01)
    assert 64_000 <= sent < 4_000_000, "it goes on reading"
    _, gone = await asyncio.open_connection(host, int(port))
    gone.write(f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {place.service.key}\r\n"
               "Content-Length: 100\r\n\r\n{".encode())  # fmt: skip
    await gone.drain()
    gone.close()
    assert (await asyncio.to_thread(httpx.get, f"{place.service.url}/health/live")).status_code == 200


async def test_a_stream_resumes_from_its_cursor_without_gap_or_repetition(place: Running) -> None:
    async with Client(place.service.url, place.service.key) as client:

        async def listen(opened: asyncio.Event, count: int) -> list[Told]:
            found = []
            async for told in client.follow("tiny", "resumer", opened=opened):
                found.append(told)
                if len(found) == count:
                    break
            return found

        opened = asyncio.Event()
        first = asyncio.create_task(listen(opened, 3))
        await opened.wait()
        for _ in range(3):
            await client.send(event(learner="resumer"))
        cursor = (await first)[-1].cursor
        for _ in range(4):
            await client.send(event(learner="resumer"))
    async with httpx.AsyncClient(
        base_url=place.service.url, headers={"Authorization": f"Bearer {place.service.key}"}
    ) as web:
        url = "/.well-known/mercure?match=/courses/tiny/learners/resumer/decisions"
        async with web.stream("GET", url, headers={"Last-Event-ID": cursor}) as stream:
            assert stream.headers["mercure-last-event-id"] == cursor
            seqs = []
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    seqs.append(json.loads(line[5:])["seq"])
                if len(seqs) == 4:
                    break
        assert seqs == [4, 5, 6, 7]
        async with web.stream("GET", url, headers={"Last-Event-ID": "made-up"}) as stream:
            assert stream.headers["mercure-last-event-id"] != "made-up", "a cursor that is not ours is told to be none"


async def test_after_all_this_rows_are_those_of_a_pure_run(place: Running) -> None:
    async with reader(place) as read:
        counts = await read.check()
    assert counts["rejected"] == 0, "what a client was told is refused never reached the log"
    assert counts["applied"] > 20
