"""Signing on elsewhere, from the button to the open session."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from cloud.model.database import Database, Work
from cloud.oidc.base import Arrived, Begun, Linked, Sessions, Way
from cloud.oidc.people import People, person_of
from cloud.oidc.provider import LiveProvider
from cloud.oidc.settings import Provider
from cloud.oidc.states import flow_secret, use_state
from cloud.outbound.base import Outbound
from protocols.clock import Clock
from protocols.errors import RefuseInput

FLOW_MS = 10 * 60_000
"""So long somebody may take at the other side."""
TEXT_CHARS_MAX = 2_000
"""Of what comes back in the address, and of the cookie."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What the cookie of somebody under way says, signed."""

    way: str
    state: str
    nonce: str
    verifier: str
    target: str
    link: int | None
    expires_at: int


class SignOnDesk:
    """What `cloud.oidc.base.SignOn` says, over the providers of the settings."""

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        base_url: str,
        database: Database,
        outbound: Outbound,
        people: People,
        sessions: Sessions,
        clock: Clock,
    ) -> None:
        self._live = {one.id: LiveProvider(one, outbound, clock) for one in providers}
        self._base_url = base_url.rstrip("/")
        self._database, self._sessions, self._clock = database, sessions, clock
        self._people = people
        self._signer: URLSafeSerializer | None = None

    async def load(self) -> None:
        """Read what signs cookies; call once."""
        if self._live:
            secret = await self._database.write(flow_secret)
            how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
            self._signer = URLSafeSerializer(secret, salt="suyuan.sign_on", signer_kwargs=how)

    def ways(self) -> Sequence[Way]:
        """Return what the login page offers."""
        found = [live.settings for live in self._live.values()]
        return [Way(one.id, one.title, one.title_zh) for one in found]

    async def begin(self, way: str, *, target: str, link: int | None = None) -> Begun:
        """Return where to send the browser; see `SignOn`."""
        live = self._provider(way)
        flow = Flow(
            way=way,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            target=target[: TEXT_CHARS_MAX // 2],
            link=link,
            expires_at=self._clock.wall_ms() + FLOW_MS,
        )
        url = await live.authorization_url(
            redirect_uri=self._redirect_uri(way),
            state=flow.state,
            nonce=flow.nonce,
            verifier=flow.verifier,
        )
        return Begun(url, self._seal(flow))

    async def finish(
        self, way: str, *, cookie: str, query: Mapping[str, str], account: int | None
    ) -> Arrived:
        """Take somebody in who came back; see `SignOn`."""
        live = self._provider(way)
        flow = self._flow(way, cookie, query.get("state", ""))
        if flow.link not in (None, account):
            raise RefuseInput("bad_state", "somebody else is signed in now")
        await self._database.write(
            lambda c: use_state(c, flow.state, flow.expires_at, self._clock.wall_ms())
        )
        code = await _code(live, query)
        tokens = await live.redeem(
            code, redirect_uri=self._redirect_uri(way), verifier=flow.verifier
        )
        claims = await live.verify(tokens, flow.nonce)
        person = person_of(live.settings, claims)

        if flow.link is None:
            account_id = await self._people.admit(live.settings, person)
        else:
            account_id = await self._people.link(live.settings, person, flow.link)
        session = await self._sessions.open_session(account_id, second_factor=True)
        if session is None:
            raise RefuseInput("forbidden", "the account may not come in")
        return Arrived(session, flow.target)

    async def links(self, account: int) -> Sequence[Linked]:
        """Return by which sign-ons an account comes in."""
        since = await self._people.links(account)
        known = [live.settings for live in self._live.values()]
        return [Linked(one.id, since[one.issuer]) for one in known if one.issuer in since]

    async def unlink(self, way: str, account: int, *, also: Work) -> None:
        """Let an account no longer come in by a sign-on; see `SignOn`."""
        issuer = self._provider(way).settings.issuer
        others = {live.settings.issuer for live in self._live.values()} - {issuer}
        await self._people.unlink(issuer, account, others=others, also=also)

    def _provider(self, way: str) -> LiveProvider:
        if way not in self._live:
            raise RefuseInput("not_found", f"no sign-on {way[:40]!r}")
        return self._live[way]

    def _redirect_uri(self, way: str) -> str:
        return f"{self._base_url}/login/with/{way}/back"

    def _seal(self, flow: Flow) -> str:
        assert self._signer is not None  # noqa: S101  # load() comes first
        sealed = self._signer.dumps(msgspec.to_builtins(flow))
        return sealed if isinstance(sealed, str) else sealed.decode()

    def _flow(self, way: str, cookie: str, state: str) -> Flow:
        """Return what this browser began; RefuseInput `bad_state`."""
        assert self._signer is not None  # noqa: S101  # load() comes first
        if len(cookie) > 2 * TEXT_CHARS_MAX:
            raise RefuseInput("bad_state", "the cookie is too large")
        try:
            flow = msgspec.convert(self._signer.loads(cookie), Flow)
        except (BadData, msgspec.ValidationError):
            raise RefuseInput("bad_state", "this browser did not begin that") from None
        same = hmac.compare_digest(flow.state.encode(), state.encode("utf-8", "replace"))
        if not same or flow.way != way or flow.expires_at < self._clock.wall_ms():
            raise RefuseInput("bad_state", "another, or too long ago")
        return flow


async def _code(live: LiveProvider, query: Mapping[str, str]) -> str:
    """Return the code that came back.

    An answer that names another issuer than was asked is a mix-up (RFC 9207).

    Raises:
        RefuseInput: `denied`, `bad_state`.

    """
    metadata = await live.metadata()
    named = query.get("iss")
    if named is None and metadata.authorization_response_iss_parameter_supported:
        raise RefuseInput("bad_state", "the answer names no issuer")
    if named not in (None, metadata.issuer):
        raise RefuseInput("bad_state", "the answer is another issuer's")
    if "error" in query:
        raise RefuseInput("denied", query["error"][:100])
    code = query.get("code", "")
    if not 0 < len(code) <= TEXT_CHARS_MAX:
        raise RefuseInput("bad_state", "no code came back")
    return code
