"""The gateway's HTTP application, wired to its ports. Knows no engine and no learner model."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from msgspec import json
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from authoring.check import check
from delivery import openapi
from delivery.auth import DevelopmentKey
from delivery.hub import Hub
from delivery.ingest import MAX_BODY_BYTES, Ingest, Taken
from delivery.ports import LiveView, Published
from delivery.problems import STATUS, problem, rejected, unavailable
from delivery.receipts import Receipts
from delivery.session import row_named, row_of
from delivery.sse import subscribe
from delivery.waiting import decision_for, wait_ms
from schemas.codec import decode_course
from schemas.errors import Code, Rejection, Unavailable
from schemas.ids import DEFAULT_RUN, partition_of

MAX_COURSE_BYTES = 900 * 1024
WORKER_SILENT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the application is wired to."""

    ingest: Ingest
    hub: Hub
    view: LiveView
    published: Published
    keys: DevelopmentKey
    receipts: Receipts
    partitions: int
    now: Callable[[], int]

    async def unready(self) -> str | None:
        """Why the service cannot answer now; None when it can."""
        try:
            if await self.view.workers(WORKER_SILENT_MS) == 0:
                return "No worker has said in the last seconds that it works."
        except Unavailable as fault:
            return str(fault)
        return None


def make_app(parts: Gateway) -> ASGIApp:
    """The application. Who calls it starts and stops what `parts` holds."""
    app = FastAPI(title="Segue", version="1", docs_url="/docs", redoc_url=None, description=openapi.DESCRIPTION)

    @app.exception_handler(Rejection)
    async def on_rejection(request: Request, rejection: Rejection) -> Response:
        return rejected(rejection)

    @app.exception_handler(Unavailable)
    async def on_unavailable(request: Request, fault: Unavailable) -> Response:
        return unavailable(fault)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, fault: HTTPException) -> Response:
        return problem(fault.status_code, "http", str(fault.detail))

    def tenant_of(request: Request) -> str:
        tenant = parts.keys.tenant_of(request)
        if tenant is None:
            wrong = "This is not the key of this service" if request.headers.get("authorization") else "There is no key"
            raise HTTPException(401, f"{wrong}; send `Authorization: Bearer KEY` with what `segue up` prints at its start.")
        return tenant

    async def post_events(request: Request) -> Response:
        tenant = tenant_of(request)
        milliseconds = wait_ms(request.headers.get("prefer"))
        taken = await parts.ingest.take(tenant, await _body(request, MAX_BODY_BYTES))
        if milliseconds is not None and taken.single and taken.accepted:
            decision = await decision_for(
                taken.accepted[0], milliseconds, parts.hub, parts.view, parts.published, parts.now()
            )
            if decision is not None:
                parts.receipts.delivered(decision)
                return Response(decision, 200, media_type="application/json", headers={"Preference-Applied": "wait"})
        return _taken(taken)

    # The first route serves, without FastAPI's solving of parameters that it has not; the second one tells of it.
    app.router.add_route("/v1/events", post_events, ["POST"], include_in_schema=False)
    app.post("/v1/events", **openapi.EVENTS)(post_events)

    @app.get("/v1/courses", **openapi.COURSES)
    async def get_courses(request: Request) -> Response:
        return _json(parts.published.courses(tenant_of(request)))

    @app.get("/v1/courses/{course}", **openapi.COURSE)
    async def get_course(request: Request, course: str) -> Response:
        found = parts.published.newest_course(tenant_of(request), course)
        if found is None:
            raise HTTPException(404, f"There is no course {course!r}.")
        return _json(found)

    @app.put("/v1/courses/{course}", **openapi.PUBLISH)
    async def put_course(request: Request, course: str) -> Response:
        tenant = tenant_of(request)
        given = decode_course(await _body(request, MAX_COURSE_BYTES))
        if given.id != course:
            raise Rejection(Code.INVALID, f"The path says course {course!r}, the body {given.id!r}.")
        errors = [finding for finding in await asyncio.to_thread(check, given) if finding.error]
        if errors:
            told = [{"where": f.where, "message": f.message} for f in errors]
            return problem(422, Code.INVALID, "The course has errors; `segue course check` shows them.", told)
        there = parts.published.course_version(tenant, course, given.version)
        if there is not None and there != given:
            detail = f"Version {given.version!r} of {course!r} is published and differs; give this one a new version."
            raise Rejection(Code.VERSION_TAKEN, detail)
        if there is None:
            await parts.published.publish_course(tenant, given)
            if parts.published.course_version(tenant, course, given.version) != given:
                raise Rejection(
                    Code.VERSION_TAKEN, f"Version {given.version!r} of {course!r} was published by somebody else."
                )
        return _json({"course": course, "version": given.version}, 200 if there is not None else 201)

    @app.get("/v1/courses/{course}/learners/{learner:path}/decision", **openapi.LATEST)
    async def get_decision(request: Request, course: str, learner: str, run: str = DEFAULT_RUN) -> Response:
        tenant = tenant_of(request)
        if parts.published.newest_course(tenant, course) is None:
            raise HTTPException(404, f"There is no course {course!r}.")
        row = row_named(tenant, course, run, learner)
        partition = partition_of(tenant, learner, parts.partitions)
        body = await parts.view.latest(partition, row.key)
        if body is None:
            made = (await parts.view.tail(partition, row.key, 0, 1)).newest
            body = await parts.view.latest(partition, row.key) if made else None
        if body is None:
            seen = (
                f"Decision {made} stands in topic decisions only, since the view was rebuilt" if made else "No decision yet"
            )
            raise HTTPException(404, f"{seen} (learner {learner!r}, course {course!r}); the next event brings one.")
        return Response(body, media_type="application/json")

    @app.get("/.well-known/mercure", **openapi.MERCURE)
    async def get_topic(request: Request) -> Response:
        tenant = tenant_of(request)
        rows = [row_of(topic, tenant) for topic in request.query_params.getlist("match")]
        if not rows:
            raise Rejection(Code.INVALID, "Say which topic: ?match=/courses/COURSE/learners/LEARNER/decisions.")
        cursor = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        return await subscribe(rows, cursor, parts.hub, parts.view, parts.partitions, parts.receipts.delivered)

    @app.get("/health/live", **openapi.LIVE)
    async def live() -> Response:
        return _json({"live": True})

    @app.get("/health/ready", **openapi.READY)
    async def ready() -> Response:
        reason = await parts.unready()
        return _json({"ready": True}) if reason is None else problem(503, "not_ready", reason)

    @app.get("/metrics", **openapi.METRICS)
    async def metrics_page() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    generated = app.openapi
    app.openapi = lambda: openapi.with_components(generated())  # type: ignore[method-assign]
    return _shortcut(app, {("POST", "/v1/events"): post_events, ("GET", "/.well-known/mercure"): get_topic})


def _shortcut(app: ASGIApp, straight: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]]) -> ASGIApp:
    """The way in and the way out go straight to their functions; the framework's layers cost more than the work."""

    async def answer(handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        try:
            return await handle(request)
        except Rejection as rejection:
            return rejected(rejection)
        except Unavailable as fault:
            return unavailable(fault)
        except HTTPException as fault:
            return problem(fault.status_code, "http", str(fault.detail))
        except ClientDisconnect:  # nobody reads what is answered
            return Response(status_code=400)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        handle = straight.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if handle is None:
            await app(scope, receive, send)
            return
        response = await answer(handle, Request(scope, receive))
        await response(scope, receive, send)

    return serve


async def _body(request: Request, most: int) -> bytes:
    """The body, read no further than it may be long."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise Rejection(Code.TOO_LARGE, f"A request may have {most} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def _taken(taken: Taken) -> Response:
    if taken.single and taken.rejected:
        return rejected(taken.rejected[0][2])
    answer = {
        "accepted": [
            {"id": str(each.event.id), "partition": each.partition, "offset": each.offset} for each in taken.accepted
        ],
        "rejected": [
            {"index": index, "id": name, "code": why.code, "detail": why.detail} for index, name, why in taken.rejected
        ],
    }
    status = 202 if taken.accepted or not taken.rejected else _worst(taken)
    return _json(answer, status)


def _worst(taken: Taken) -> int:
    """The status of a list of which nothing was accepted: that of its entries if they agree, else 422."""
    found = {STATUS.get(why.code, 422) for _, _, why in taken.rejected}
    return found.pop() if len(found) == 1 else 422


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.encode(value), status, media_type="application/json")
