"""The service's HTTP interface as a demonstration needs it: JSON calls, and the feed."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from protocols.errors import RetryLater

TIMEOUT_S = 5.0
LINE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One item of the feed; a heartbeat moves the offset on like any other."""

    offset: int
    event: str
    data: Mapping[str, Any]


class Api:
    """One service at 127.0.0.1.

    Args:
        port: of HTTP.
        token: bearer token; never printed by this class.

    """

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Do one call.

        Returns:
            the status, and the JSON of the answer (None when it is none).

        Raises:
            RetryLater: the service does not answer.

        """
        try:
            return await asyncio.to_thread(self._call, method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise RetryLater(f"{method} {path}: {error}") from error

    async def feed(self, after: int | None = None) -> AsyncIterator[FeedEvent]:
        """Follow the feed until it ends; HTTP/1.0, so that the answer is a plain stream of lines.

        Raises:
            RetryLater: the service does not answer, refuses, or the stream ends.

        """
        query = "" if after is None else f"?after={after}"
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self._port, limit=LINE_BYTES_MAX
            )
        except OSError as error:
            raise RetryLater(f"feed: {error}") from error
        try:
            head = f"GET /api/v1/feed{query} HTTP/1.0\r\nAuthorization: Bearer {self._token}\r\n"
            writer.write(f"{head}Host: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode())
            await _read_head(reader)
            fields: dict[str, str] = {}
            while line := await reader.readline():
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif fields:
                    yield _event(fields)
                    fields = {}
        except (OSError, ValueError) as error:
            raise RetryLater(f"feed: {error}") from error
        finally:
            writer.close()
        raise RetryLater("feed: the stream has ended")

    def _call(self, method: str, path: str, body: object) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
            headers = {
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json; charset=utf-8",
            }
            connection.request(method, quote(path, safe="/?=&:"), body=content, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, None


async def _read_head(reader: asyncio.StreamReader) -> None:
    status = await reader.readline()
    if b" 200 " not in status:
        raise RetryLater(f"feed: answered {status.decode(errors='replace').strip()!r}")
    while (await reader.readline()).strip():
        pass


def _event(fields: Mapping[str, str]) -> FeedEvent:
    data = json.loads(fields.get("data", "{}"))
    offset = int(fields["id"]) if "id" in fields else -1
    return FeedEvent(offset, fields.get("event", "message"), data if isinstance(data, dict) else {})
