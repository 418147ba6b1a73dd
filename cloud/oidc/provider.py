"""One sign-on as it is now: where it is asked, and the keys that it signs with."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet
from msgspec import Meta

from cloud.oidc.settings import Provider
from cloud.oidc.token import UnknownKey, verify
from cloud.outbound.base import Answer, Outbound
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater

KEPT_MS = 3_600_000
"""So long what the sign-on says of itself is believed without asking again."""
KEYS_AGAIN_MS = 30_000
"""Keys are asked for no more often, whatever unknown keys tokens name."""
KEYS_MAX = 100
WELL_KNOWN = "/.well-known/openid-configuration"
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
T = TypeVar("T")


class Metadata(msgspec.Struct, frozen=True):
    """What a discovery document says, of OpenID Connect Discovery 1.0, section 3."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Tokens(msgspec.Struct, frozen=True):
    """What the token endpoint gives."""

    id_token: str
    access_token: str | None = None


class _Keys(msgspec.Struct, frozen=True):
    keys: Annotated[list[dict[str, Any]], Meta(max_length=KEYS_MAX)]


class LiveProvider:
    """Asks a sign-on, and remembers for a while. RetryLater when it cannot be asked now."""

    def __init__(self, settings: Provider, outbound: Outbound, clock: Clock) -> None:
        self.settings = settings
        self._outbound, self._clock = outbound, clock
        self._asking = asyncio.Lock()
        self._metadata: tuple[int, Metadata] | None = None
        self._keys: tuple[int, KeySet] | None = None

    async def metadata(self) -> Metadata:
        """Return what the sign-on says of itself."""
        async with self._asking:
            if self._metadata is None or self._age_ms(self._metadata[0]) > KEPT_MS:
                url = self.settings.issuer.rstrip("/") + WELL_KNOWN
                found = self._read(await self._get(url), Metadata)
                self._check(found)
                self._metadata = (self._clock.boot_ms(), found)
            return self._metadata[1]

    async def authorization_url(
        self, *, redirect_uri: str, state: str, nonce: str, verifier: str
    ) -> str:
        """Return where to send the browser."""
        metadata = await self.metadata()
        return str(
            prepare_grant_uri(
                metadata.authorization_endpoint,
                client_id=self.settings.client_id,
                response_type="code",
                redirect_uri=redirect_uri,
                scope=" ".join(self.settings.scopes),
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
            )
        )

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Tokens:
        """Exchange a code for tokens; RefuseInput `bad_token` when that is refused."""
        metadata = await self.metadata()
        body = prepare_token_request(
            "authorization_code", "", redirect_uri=redirect_uri, code=code, code_verifier=verifier
        )
        basic = "client_secret_basic" in metadata.token_endpoint_auth_methods_supported
        method = "client_secret_basic" if basic else "client_secret_post"
        auth = ClientAuth(self.settings.client_id, self._secret(), method)
        url, headers, body = auth.prepare("POST", metadata.token_endpoint, dict(FORM), body)
        answer = await self._call(url, method="POST", headers=headers, content=body.encode())
        if answer.status >= 500:
            raise RetryLater(f"{self.settings.id}: the token endpoint answers {answer.status}")
        if answer.status != 200:
            raise RefuseInput("bad_token", f"the token endpoint answers {answer.status}")
        return self._read(answer.body, Tokens)

    async def verify(self, tokens: Tokens, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token, with newer keys if need be; RefuseInput `bad_token`."""
        for newer in (False, True):
            keys = await self._current_keys(newer=newer)
            try:
                return verify(
                    tokens.id_token,
                    keys,
                    issuer=self.settings.issuer,
                    client_id=self.settings.client_id,
                    nonce=nonce,
                    access_token=tokens.access_token,
                    now_s=self._clock.wall_ms() // 1_000,
                )
            except UnknownKey:
                continue
        raise RefuseInput("bad_token", "the ID token is signed by nobody we know")

    async def _current_keys(self, *, newer: bool) -> KeySet:
        metadata = await self.metadata()
        async with self._asking:
            most_ms = KEYS_AGAIN_MS if newer else KEPT_MS
            if self._keys is None or self._age_ms(self._keys[0]) > most_ms:
                found = self._read_keys(await self._get(metadata.jwks_uri))
                self._keys = (self._clock.boot_ms(), found)
            return self._keys[1]

    def _check(self, found: Metadata) -> None:
        """Refuse a document that speaks for another issuer, or leads away from https."""
        if found.issuer != self.settings.issuer:
            raise RetryLater(f"{self.settings.id}: its discovery document is another issuer's")
        scheme = urlsplit(self.settings.issuer).scheme
        for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            if urlsplit(url).scheme not in ("https", scheme) or not url.isprintable():
                raise RetryLater(f"{self.settings.id}: its discovery document leads to no https")

    async def _get(self, url: str) -> bytes:
        answer = await self._call(url)
        if answer.status != 200:
            raise RetryLater(f"{self.settings.id}: {answer.status} instead of its metadata")
        return answer.body

    async def _call(self, url: str, **request: Any) -> Answer:
        try:
            return await self._outbound.fetch(url, **request)
        except RefuseInput as error:  # the site's settings, or the sign-on's document
            raise RetryLater(f"{self.settings.id}: {error}") from error

    def _read(self, body: bytes, type_: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=type_)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise RetryLater(f"{self.settings.id}: {str(error)[:200]}") from error

    def _read_keys(self, body: bytes) -> KeySet:
        """Read the public keys; what is of a kind unknown here is for others."""
        keys = []
        for key in self._read(body, _Keys).keys:
            if key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig":
                with contextlib.suppress(JoseError, ValueError, TypeError):
                    keys.append(JWKRegistry.import_key(key))
        return KeySet(keys)

    def _secret(self) -> str:
        try:
            return Path(self.settings.client_secret_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise RetryLater(f"{self.settings.id}: client_secret_file: {error}") from error

    def _age_ms(self, since_ms: int) -> int:
        return self._clock.boot_ms() - since_ms
