"""A lean client of the gateway: posts events, follows adaptation topics, comes back after faults with the same ids.

Rules of a good client, kept here: an event's id never changes when it is sent again; a stream resumes from its cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
from msgspec import json

PAUSE_SECONDS = 0.1
HELLO_SECONDS = 10.0


class Refused(Exception):
    """The gateway will not take it, and would not if it were sent again."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body}" if status else body)
        self.status = status


class Told(NamedTuple):
    """A decision as it came: its bytes' content and the cursor after it."""

    decision: dict[str, Any]
    cursor: str


class Client:
    """Talks to one gateway. Use as an async context."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._session: aiohttp.ClientSession | None = None

    async def hello(self) -> None:
        """Raises Refused when nothing answers at the address within HELLO_SECONDS, or does not know the key."""
        try:
            async with asyncio.timeout(HELLO_SECONDS), self._open.get(f"{self._url}/v1/courses") as response:
                if response.status != 200:
                    raise Refused(response.status, await response.text())
        except (aiohttp.ClientError, ConnectionError, TimeoutError, ValueError) as fault:
            raise Refused(
                0, f"{self._url} does not answer ({fault or 'no answer in time'}); is `segue up` running?"
            ) from None

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        await self._open.close()

    @property
    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use the client as an async context"
        return self._session

    async def publish(self, course: dict[str, Any]) -> None:
        """Publish a course version. Raises Refused."""
        await self._until_taken("PUT", f"/v1/courses/{quote(course['id'], safe='')}", json.encode(course))

    async def course(self, name: str) -> dict[str, Any]:
        """The newest version of a course. Raises Refused."""
        found: dict[str, Any] = json.decode(await self._until_taken("GET", f"/v1/courses/{quote(name, safe='')}", None))
        return found

    async def send(self, event: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
        """Send events until the gateway has them. Raises Refused."""
        answer: dict[str, Any] = json.decode(await self._until_taken("POST", "/v1/events", json.encode(event)))
        return answer

    async def follow(self, course: str, learner: str, run: str = "1",
                     opened: asyncio.Event | None = None) -> AsyncIterator[Told]:  # fmt: skip
        """Decisions of one learner, for ever; resumes from the cursor after every cut."""
        query = "" if run == "1" else f"?run={quote(run, safe='')}"
        topic = f"/courses/{quote(course, safe='')}/learners/{quote(learner, safe='')}/decisions{query}"
        url, cursor = f"{self._url}/.well-known/mercure?match={quote(topic, safe='/')}", ""
        while True:
            headers = {"Last-Event-ID": cursor} if cursor else {}
            try:
                async with self._open.get(url, headers=headers) as response:
                    if response.status != 200:
                        _raise_if_final(response.status, await response.text())
                        raise aiohttp.ClientConnectionError(f"HTTP {response.status}")
                    async for kind, value in _fields(response):
                        if kind == "id":
                            cursor = value
                            if opened is not None:
                                opened.set()
                        elif kind == "data":
                            yield Told(json.decode(value), cursor)
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                pass
            await asyncio.sleep(PAUSE_SECONDS)

    async def _until_taken(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {"Content-Type": "application/json"}
        while True:
            try:
                async with self._open.request(method, self._url + path, data=body, headers=headers) as response:
                    answer = await response.read()
                    if response.status < 300:
                        return answer
                    _raise_if_final(response.status, answer.decode(errors="replace"))
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                pass
            await asyncio.sleep(PAUSE_SECONDS)


async def _fields(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, str]]:
    """Fields of server-sent events. Our frames have `id` before `data` and one line of data each."""
    async for line in response.content:
        name, colon, value = line.decode().rstrip("\r\n").partition(":")
        if colon and name:
            yield name, value.removeprefix(" ")


def _raise_if_final(status: int, body: str) -> None:
    """4xx is final, but for "too many" and "time-out"; 5xx passes."""
    if 400 <= status < 500 and status not in (408, 429):
        raise Refused(status, body)


async def opened_or_failed(opened: asyncio.Event, reading: asyncio.Task[None]) -> None:
    """Returns when a stream is open; raises what ended its reader."""
    opening = asyncio.create_task(opened.wait())
    done, _ = await asyncio.wait({opening, reading}, return_when=asyncio.FIRST_COMPLETED)
    if reading in done:
        opening.cancel()
        reading.result()
