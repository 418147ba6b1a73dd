"""Every error leaves as problem details (RFC 9457), never as a stack trace."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from cloud.api.epcis.exceptions import is_epcis, type_of
from cloud.trace.query.base import QueryFault
from protocols.errors import RefuseInput, RetryLater

STATUS_OF = {
    "no_token": 401,
    "device_revoked": 401,
    "forbidden": 403,
    "not_found": 404,
    "bad_code": 403,
    "code_used": 403,
    "code_expired": 403,
    "bad_certificate": 403,
    "certificate_revoked": 403,
    "certificate_expired": 403,
    "bad_clock": 403,
    "no_authority": 404,
    "not_acknowledgeable": 409,
    "never_held": 409,
    "shelved_too_often": 409,
    "finished": 409,
    "wrong_state": 409,
    "changed": 409,
    "ambiguous_code": 409,
    "unknown_code": 404,
    "credit_code_taken": 409,
    "code_taken": 409,
    "registered_twice": 409,
    "quota_reached": 409,
    "gone": 410,
    "too_slow": 408,
    "too_large": 413,
    "username_taken": 409,
    "last_keeper": 409,
    "begin_again": 403,
    "wrong_password": 403,
    "wrong_code": 403,
    "too_many_attempts": 429,
    "too_many_commands": 429,
    "too_many_applications": 429,
    "too_many_exports": 429,
    "too_many_jobs": 429,
    "name_taken": 409,
    "already_there": 409,
    "not_acceptable": 406,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "QueryTooComplexException": 413,
    "QueryTooLargeException": 413,
}
"""By reason of a RefuseInput; any other reason is a bad request."""

TITLES = {
    400: "Bad request",
    401: "Token or session needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    408: "Too slow",
    409: "Not in this state",
    410: "Older than kept",
    413: "Too large",
    414: "Address too long",
    415: "Body of this kind not taken",
    429: "Too many attempts",
    431: "Too many headers",
    500: "Internal error",
    503: "Try again later",
}


class Problem(Response):
    """Problem details; below /epcis their type is the name of the standard's exception."""

    media_type = "application/problem+json"

    def __init__(self, fields: Mapping[str, Any], reason: str, headers: Mapping[str, str]) -> None:
        self._fields, self._reason = fields, reason
        super().__init__(msgspec.json.encode(fields), fields["status"], dict(headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if is_epcis(scope["path"]) and (name := type_of(self._reason, self.status_code)):
            self.body = msgspec.json.encode({**self._fields, "type": name})
            self.headers["Content-Length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def problem(
    status: int,
    reason: str,
    detail: str = "",
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    """Build a problem details answer; `more`: further members."""
    fields = {
        "type": f"urn:suyuan:problem:{reason}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        **more,
    }
    return Problem(fields, reason, headers or {})


def refusal(error: RefuseInput) -> Response:
    """Build the answer to an input that is refused."""
    status = STATUS_OF.get(error.reason, 400)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="suyuan"'
    if status == 429:
        headers["Retry-After"] = error.detail
    return problem(status, error.reason, error.detail, headers)


def install(app: FastAPI) -> None:
    """Answer every kind of error of `app` with problem details."""

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RefuseInput)  # noqa: S101  # as registered below
        return refusal(error)

    async def query(_request: Request, error: Exception) -> Response:
        assert isinstance(error, QueryFault)  # noqa: S101  # as registered below
        return problem(STATUS_OF.get(error.name, 400), error.name, error.detail)

    async def later(_request: Request, error: Exception) -> Response:
        return problem(503, "unavailable", str(error), {"Retry-After": "1"})

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # as registered below
        reason = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
        return problem(error.status_code, reason, str(error.detail), error.headers)

    async def invalid(_request: Request, error: Exception) -> Response:
        return problem(400, "bad_request", str(error)[:300])

    async def failed(_request: Request, _error: Exception) -> Response:
        return problem(500, "internal", "the service's log tells more")

    app.add_exception_handler(RefuseInput, refused)
    app.add_exception_handler(QueryFault, query)
    app.add_exception_handler(RetryLater, later)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, failed)
