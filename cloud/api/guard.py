"""Who calls: a bearer token, or the session of a page."""

import hmac
from collections.abc import Callable

from fastapi import Request

from cloud.api.base import Access
from cloud.model.session import CSRF_HEADER, SESSION_COOKIE
from protocols.errors import RefuseInput

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def caller_of(access: Access) -> Callable[[Request], str]:
    """Build the dependency that returns who calls.

    It raises RefuseInput: `no_token` when nobody is known; `forbidden` when a session's request
    that changes something lacks its CSRF token.
    """

    def caller(request: Request) -> str:
        authorization = request.headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            name = access.bearer(token.strip()) if scheme.lower() == "bearer" else None
            if name is None:
                raise RefuseInput("no_token", "the token is not known here")
            return name
        session = access.session(request.cookies.get(SESSION_COOKIE, ""))
        if session is None:
            raise RefuseInput("no_token", "send Authorization: Bearer TOKEN")
        given = request.headers.get(CSRF_HEADER, "")
        if request.method not in SAFE_METHODS and not hmac.compare_digest(
            given.encode(), session.csrf.encode()
        ):
            raise RefuseInput("forbidden", "the page's CSRF token is missing or wrong")
        return session.by

    return caller
