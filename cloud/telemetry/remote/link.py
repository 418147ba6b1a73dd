"""HTTP to an engine: writes by influxdb-client, questions beside it; errors say what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from protocols.errors import RefuseInput, RetryLater

CONNECT_S, READ_S = 2.0, 5.0
"""A stop of the service waits for one call at most."""
_AWAY = (urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True, kw_only=True)
class EngineAddress:
    """Where an engine listens, and the place in it that is ours."""

    base_url: str
    """`http://host:port` or `https://host:port`."""
    place: str
    """InfluxDB: the bucket; VictoriaMetrics: the value of label `db`."""
    org: str = ""
    token: str = ""


class Link:
    """One engine; thread-safe."""

    def __init__(self, address: EngineAddress) -> None:
        self._address = address
        self._client = InfluxDBClient(
            url=address.base_url,
            token=address.token or "none",
            org=address.org or "-",
            timeout=(CONNECT_S * 1000, READ_S * 1000),
        )
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
            retries=False,
            headers={"Authorization": f"Token {address.token}"} if address.token else None,
        )

    def write(self, body: bytes) -> None:
        """Write lines with times in ms.

        Raises:
            RefuseInput: `engine_refused`, with the engine's reason.
            RetryLater: it is away, or not in order.

        """
        try:
            self._writer.write(
                bucket=self._address.place,
                record=body,
                write_precision=WritePrecision.MS,  # type: ignore[arg-type] # a plain text
            )
        except ApiException as error:
            raise self._judged(error.status or 0, str(error.body or error.reason)) from error
        except _AWAY as error:
            raise self._gone(error) from error

    def ask(self, method: str, path: str, fields: Mapping[str, str]) -> bytes:
        """Send one request with form fields and return the answer's body; errors as `write`."""
        request = self._pool.request_encode_url
        if method == "POST":
            request = partial(self._pool.request_encode_body, encode_multipart=False)
        try:
            answer = request(method, self._address.base_url + path, fields=dict(fields))
        except _AWAY as error:
            raise self._gone(error) from error
        if answer.status >= 300:
            raise self._judged(answer.status, answer.data.decode(errors="replace"))
        return answer.data

    def close(self) -> None:
        """Close all connections."""
        self._client.close()  # type: ignore[no-untyped-call]
        self._pool.clear()

    def _judged(self, status: int, text: str) -> RefuseInput | RetryLater:
        text = text[:300]
        if status in (400, 422):
            return RefuseInput("engine_refused", text)
        return RetryLater(f"{self._address.base_url} answers {status}: {text}")

    def _gone(self, error: BaseException) -> RetryLater:
        return RetryLater(f"{self._address.base_url} is away: {str(error)[:200]}")
