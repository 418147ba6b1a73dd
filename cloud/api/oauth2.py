"""Tokens for platforms: OAuth 2 client credentials (RFC 6749, 4.4), and their end (RFC 7009)."""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from cloud.api.base import Services
from cloud.api.guard import open_to_all
from cloud.api.rates import address_key
from protocols.errors import RefuseInput

FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 16
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
ERRORS = {
    "invalid_request": 400,
    "invalid_client": 401,
    "invalid_scope": 400,
    "unsupported_grant_type": 400,
}
"""Those of RFC 6749, 5.2, with their status; any other refusal leaves as everywhere else."""


def router(services: Services) -> APIRouter:
    """Build /oauth2."""
    proven = [Depends(open_to_all("a platform proves itself by its secret"))]
    routes = APIRouter(prefix="/oauth2", dependencies=proven)

    @routes.post("/token")
    async def token(request: Request) -> Response:
        try:
            fields = _form(request, await request.body())
            if fields.get("grant_type") != "client_credentials":
                raise RefuseInput("unsupported_grant_type", "expected client_credentials")
            client, secret = _client(request, fields)
            given = await services.platforms.token(
                client,
                secret,
                fields.get("scope", ""),
                address=address_key(request.scope.get("client")),
                noted=services.audit.noted,
            )
        except RefuseInput as error:
            return _refusal(error)
        return _answer(msgspec.to_builtins(given), 200)

    @routes.post("/revoke")
    async def revoke(request: Request) -> Response:
        try:
            fields = _form(request, await request.body())
            client, secret = _client(request, fields)
            if not fields.get("token"):
                raise RefuseInput("invalid_request", "expected token")
            await services.platforms.end_token(
                client,
                secret,
                fields["token"],
                address=address_key(request.scope.get("client")),
                noted=services.audit.noted,
            )
        except RefuseInput as error:
            return _refusal(error)
        return _answer({}, 200)

    return routes


def _form(request: Request, body: bytes) -> Mapping[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise RefuseInput("invalid_request", f"expected a body of {FORM}")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise RefuseInput("invalid_request", "the form cannot be read") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise RefuseInput("invalid_request", "expected each parameter once")
    return fields


def _client(request: Request, fields: Mapping[str, str]) -> tuple[str, str]:
    """Return id and secret, told in the header or in the form, but not in both (2.3)."""
    header = request.headers.get("authorization")
    if header is None:
        return fields.get("client_id", ""), fields.get("client_secret", "")
    scheme, _, packed = header.partition(" ")
    if scheme.lower() != "basic" or "client_secret" in fields:
        raise RefuseInput(
            "invalid_request", "expected one way of telling the secret: Basic, or form"
        )
    try:
        plain = base64.b64decode(packed.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise RefuseInput("invalid_client", "the Basic header cannot be read") from None
    client, _, secret = plain.partition(":")
    return unquote_plus(client), unquote_plus(secret)


def _refusal(error: RefuseInput) -> Response:
    status = ERRORS.get(error.reason)
    if status is None:
        raise error
    headers = {"WWW-Authenticate": 'Basic realm="suyuan"'} if status == 401 else {}
    fields = {"error": error.reason, "error_description": error.detail}
    return _answer(fields, status, headers)


def _answer(fields: object, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(fields),
        status_code=status,
        media_type="application/json",
        headers={**NO_STORE, **(headers or {})},
    )
