"""The REST binding of another repository, as one credential sees it.

Whatever it answers is untrusted: addresses it leads to must be its own, redirects are not
followed, and what is no answer of the binding is a fault of its own, told and tried again.
"""

import hashlib
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import msgspec
from msgspec import Struct

from cloud.outbound.base import Answer, Outbound
from protocols.errors import RefuseInput, RetryLater

VERSIONS = {"GS1-EPCIS-Version": "2.0.0", "GS1-CBV-Version": "2.0.0"}
DETAIL_CHARS_MAX = 300
ERRORS_MAX = 100
"""Of a job that are read."""
RETRY_AFTER_MAX_S = 24 * 3600.0
_LINK = re.compile(r"<([^<>]*)>((?:\s*;[^,<]*)*)")
_NEXT = re.compile(r';\s*rel\s*=\s*"?next"?\s*(;|$)', re.IGNORECASE)


class Failed(Exception):
    """The other side did not do what was asked; the same may be asked again later."""

    def __init__(self, kind: str, detail: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        """`away`, `unauthorised`, `refused`, `gone`, `too_large`, `bad_answer`, `bad_address`."""
        self.retry_after_s = retry_after_s


class Page(Struct, frozen=True, kw_only=True):
    """One page of events."""

    document: dict[str, Any]
    events: list[dict[str, Any]]
    """The list inside the document."""
    next_url: str
    """Empty: it was the last."""
    digest: str
    """Equal where the events are."""


class TheirJob(Struct, frozen=True, kw_only=True):
    """A capture job of theirs."""

    running: bool
    success: bool
    proceeds: bool
    """Whether what is not among the errors was stored nevertheless."""
    errors: list[dict[str, str]]


class Repository:
    """A partner's repository."""

    def __init__(self, outbound: Outbound, base: str, credential: Mapping[str, str]) -> None:
        """Take where it is.

        Args:
            outbound: calls out.
            base: address of its binding, without a slash at its end.
            credential: the header that lets us in, or none.

        """
        self._outbound, self._base, self._credential = outbound, base, credential

    def events_url(self, parameters: Mapping[str, str]) -> str:
        """Return the address of a query."""
        return f"{self._base}/events?{urlencode(parameters)}"

    async def page(self, url: str, extensions: str) -> Page:
        """Fetch a page."""
        headers = {"GS1-EPC-Format": "No_Preference"}
        if extensions:
            headers["GS1-Extensions"] = extensions
        answer = await self._call("GET", url, headers)
        document = _object(answer)
        events = _events_in(document)
        try:  # what was read cannot always be written: that takes more room of the stack
            encoded = msgspec.json.encode(events)
        except RecursionError:
            raise Failed("bad_answer", "lists and objects too deep") from None
        following = _next_link(answer.headers.get("link", ""))
        return Page(
            document=document,
            events=events,
            next_url=self._own(url, following) if following else "",
            digest=hashlib.sha256(encoded).hexdigest(),
        )

    async def query(self, name: str) -> dict[str, Any]:
        """Fetch what a named query asks for."""
        found = _object(await self._call("GET", self._query_url(name))).get("query")
        if type(found) is not dict:
            raise Failed("bad_answer", "expected a named query with its parameters")
        return found

    async def capture(self, body: bytes) -> str:
        """Send a document; return the address of its job, empty when it was captured at once."""
        answer = await self._call(
            "POST",
            f"{self._base}/capture",
            {"Content-Type": "application/json", "GS1-Capture-Error-Behaviour": "proceed"},
            body,
        )
        where = answer.headers.get("location", "")
        return self._own(f"{self._base}/capture", where) if where else ""

    async def job(self, url: str) -> TheirJob:
        """Look at a job."""
        found = _object(await self._call("GET", url))
        running, success, errors = (found.get(n) for n in ("running", "success", "errors"))
        if type(running) is not bool or type(success) is not bool:
            raise Failed("bad_answer", "expected a job with running and success")
        return TheirJob(
            running=running,
            success=success,
            proceeds=found.get("captureErrorBehaviour") == "proceed",
            errors=[_error(one) for one in errors[:ERRORS_MAX]] if type(errors) is list else [],
        )

    async def subscribe(self, name: str, dest: str, secret: str) -> str:
        """Subscribe to a named query; return the address of the subscription."""
        # the standard's file asks for one name of the secret and defines the other
        body = {"dest": dest, "signatureToken": secret, "secret": secret, "stream": True}
        url = f"{self._query_url(name)}/subscriptions"
        headers = {"Content-Type": "application/json"}
        answer = await self._call("POST", url, headers, msgspec.json.encode(body))
        where = answer.headers.get("location") or _subscription_id(_object(answer))
        if not where:
            raise Failed("bad_answer", "expected the address of the subscription")
        return self._own(f"{url}/", where)

    async def subscribed(self, name: str, dest: str) -> str:
        """Return the address of a subscription that calls `dest`, empty when there is none."""
        url = f"{self._query_url(name)}/subscriptions"
        found = _json(await self._call("GET", url))
        for one in found if type(found) is list else ():
            if type(one) is dict and one.get("dest") == dest and _subscription_id(one):
                return self._own(f"{url}/", _subscription_id(one))
        return ""

    async def works(self, url: str) -> bool:
        """Tell whether a subscription is there and is served."""
        try:
            return _object(await self._call("GET", url)).get("state") != "given_up"
        except Failed as failed:
            if failed.kind == "gone":
                return False
            raise

    async def unsubscribe(self, url: str) -> None:
        """End a subscription; one that is not there has ended."""
        try:
            await self._call("DELETE", url)
        except Failed as failed:
            if failed.kind != "gone":
                raise

    def _query_url(self, name: str) -> str:
        return f"{self._base}/queries/{quote(name, safe='')}"

    def _own(self, url: str, link: str) -> str:
        """Return where a link on a page leads; Failed where the credential must not go."""
        try:
            there = urljoin(url, link)
            same = _origin(there) == _origin(self._base)
        except ValueError:
            same = False
        if not same:
            raise Failed("bad_answer", "it leads to another server than its own")
        return there

    async def _call(
        self,
        method: str,
        url: str,
        more: Mapping[str, str] = {},
        content: bytes | None = None,
    ) -> Answer:
        headers = {**VERSIONS, "Accept": "application/json", **more, **self._credential}
        try:
            answer = await self._outbound.fetch(
                url, method=method, headers=headers, content=content, follow=False
            )
        except RefuseInput as error:
            raise Failed(error.reason, error.detail) from error
        except RetryLater as error:
            raise Failed("away", str(error)) from error
        if not 200 <= answer.status < 300:
            raise _failure(answer)
        return answer


def retry_after_s(text: str, date: str) -> float:
    """Read Retry-After: seconds, or a date that the answer's own Date is subtracted from.

    Returns:
        0 for what is neither; a day at most.

    """
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        ahead = parsedate_to_datetime(text) - parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return 0.0
    return min(max(ahead.total_seconds(), 0.0), RETRY_AFTER_MAX_S)


def _failure(answer: Answer) -> Failed:
    status, headers = answer.status, answer.headers
    wait_s = retry_after_s(headers.get("retry-after", ""), headers.get("date", ""))
    detail = f"answered with status {status}"
    if told := _told(answer.body):
        detail = f"{detail}: {told}"
    if status in (401, 403):
        return Failed("unauthorised", detail, retry_after_s=wait_s)
    if status in (404, 410):
        return Failed("gone", detail)
    if status == 413:
        return Failed("too_large", detail)
    if status in (400, 409, 422):
        return Failed("refused", detail)
    kind = "bad_answer" if status < 400 or status in (405, 406, 414, 415) else "away"
    return Failed(kind, detail, retry_after_s=wait_s)


def _told(body: bytes) -> str:
    """Return what a problem says of itself."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ""
    texts = [found.get(name) for name in ("title", "detail")] if type(found) is dict else []
    text = ", ".join(one for one in texts if type(one) is str)
    return "".join(c for c in text if c.isprintable())[:DETAIL_CHARS_MAX]


def _error(found: object) -> dict[str, str]:
    """Return what an error of a job says, a bound on everything."""
    if type(found) is not dict:
        return {"detail": str(found)[:DETAIL_CHARS_MAX]}
    texts = [(key, value) for key, value in found.items() if type(value) is str]
    return {key[:40]: value[:DETAIL_CHARS_MAX] for key, value in texts[:10]}


def _json(answer: Answer) -> Any:
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failed("bad_answer", f"expected JSON: {error}"[:DETAIL_CHARS_MAX]) from None


def _object(answer: Answer) -> dict[str, Any]:
    found = _json(answer)
    if type(found) is not dict:
        raise Failed("bad_answer", f"expected an object, found {type(found).__name__}")
    return found


def _events_in(document: dict[str, Any]) -> list[dict[str, Any]]:
    at: Any = document
    for name in ("epcisBody", "queryResults", "resultsBody", "eventList"):
        if type(at) is dict:
            at = at.get(name, at if name in ("queryResults", "resultsBody") else None)
    if type(at) is not list:
        raise Failed("bad_answer", "expected a document of events, found no eventList")
    return at


def _next_link(header: str) -> str:
    for url, parameters in _LINK.findall(header):
        if _NEXT.search(parameters):
            return str(url)
    return ""


def _subscription_id(found: dict[str, Any]) -> str:
    name = found.get("subscriptionID")
    return quote(name, safe="") if type(name) is str else ""


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port
