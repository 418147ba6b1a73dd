"""One request of a page: who, in which language, and how the answer is rendered."""

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cloud.api.base import Services
from cloud.model.granting import OPEN, check_call, grant, mark
from cloud.model.principal import NOTHING, Granted, Scope
from cloud.model.session import (
    CSRF_HEADER,
    KNOWN_COOKIE,
    SESSION_COOKIE,
    Browser,
    Session,
    browser_of,
    own_hosts,
)
from cloud.web.format import clock_time, duration
from cloud.web.texts import LANGUAGES, Texts, load_texts
from protocols.clock import iso
from protocols.errors import RefuseInput

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
LANGUAGE_COOKIE = "suyuan_language"
YEAR_S = 365 * 24 * 3600
FIELD_CHARS_MAX = 2_000
FIELDS_MAX = 200
"""Of a form; districts alone may be 64 ticks."""
OWN_ACCOUNT = "account.use"
PLACES = (
    ("rescue", "/rescue", "incidents.read"),
    ("console", "/", "alarms.read"),
    ("fleet", "/fleet", "gateways.read"),
    ("platforms", "/platforms", "platforms.read"),
    ("scans", "/scans", "scans.read"),
    ("trace", "/trace", "trace.read"),
    ("lifts", "/lifts", "lifts.read"),
    ("cylinders", "/cylinders", "cylinders.read"),
    ("receivers", "/receivers", "receivers.read"),
    ("organisations", "/organisations", "organisations.read"),
    ("accounts", "/accounts", "accounts.write"),
    ("audit", "/audit", "audit.read"),
    ("data_rules", "/data-rules", "rules_of_data.read"),
)
"""Pages in the bar: name (of its texts, too), path, call."""


class SignInFirst(Exception):
    """Nobody is signed in: the visitor is sent to the login page."""


class NotForYou(Exception):
    """Who is signed in may not see this page."""

    def __init__(self, visit: "Visit") -> None:
        super().__init__()
        self.visit = visit


class Visit:
    """What a page needs of the request that asked for it."""

    def __init__(
        self,
        request: Request,
        services: Services,
        session: Session | None,
        granted: Granted | None = None,
    ) -> None:
        self.request, self.services, self.session = request, services, session
        self._granted = granted
        self.scope: Scope = granted.scope if granted else NOTHING
        """How far the page's call reaches."""
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        self.t: Texts = load_texts(chosen if chosen in LANGUAGES else services.language)
        self.now_ms = services.clock.wall_ms()
        self.zone = _zone(services.time_zone)

    def render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Render a template."""
        text = (
            _environment()
            .get_template(template)
            .render(
                t=self.t,
                visit=self,
                now_ms=self.now_ms,
                session=self.session,
                clock_time=lambda ms: clock_time(ms, self.zone, self.now_ms),
                duration=duration,
                iso=iso,
                static=static_address,
                **values,
            )
        )
        return Response(text, status_code=status, media_type="text/html")

    @property
    def granted(self) -> Granted:
        """The page's call; only of a page that makes one."""
        assert self._granted is not None  # noqa: S101  # else nobody is signed in
        return self._granted

    def places(self) -> list[tuple[str, str]]:
        """Return (name, path) of the pages that the visitor may open, in their order."""
        return [(name, path) for name, path, call in PLACES if self.may(call)]

    def may(self, call: str) -> bool:
        """Tell whether the visitor may make this call, however far it reaches."""
        return bool(self.scope_of(call))

    def lacks_second_factor(self) -> bool:
        """Tell whether the visitor may do nothing but set up the second factor of its role."""
        return self.session is not None and set(self.session.principal.may) == {OWN_ACCOUNT}

    def scope_of(self, call: str) -> Scope:
        """Return how far another call reaches: for a part of the page."""
        return self.session.principal.scope(call) if self.session else NOTHING

    @property
    def browser(self) -> Browser:
        """From where the visitor comes."""
        client = self.request.client
        return browser_of(client.host if client else None, self.request.cookies)

    def set_session(self, response: Response, session: Session) -> None:
        """Hand the session to the browser."""
        self.set_cookie(response, SESSION_COOKIE, session.cookie, None)
        if session.principal.account is not None:
            known = self.services.access.known(session.principal.account)
            self.set_cookie(response, KNOWN_COOKIE, known, YEAR_S)

    def set_cookie(self, response: Response, name: str, text: str, age_s: int | None) -> None:
        """Hand a cookie to the browser that no script reads; `age_s` None: until it is closed."""
        response.set_cookie(
            name,
            text,
            max_age=age_s,
            httponly=True,
            samesite="lax",
            secure=self.is_https(),
            path="/",
        )

    def is_https(self) -> bool:
        """Tell whether browsers reach us by https, be it through a proxy."""
        return self.request.url.scheme == "https" or self.services.base_url.startswith("https:")

    async def form(self) -> dict[str, str]:
        """Read a posted form, the last of each name.

        Raises:
            RefuseInput: `bad_request` when it is no form.

        """
        return {name: values[-1] for name, values in (await self._fields()).items()}

    async def ticked(self, name: str) -> tuple[str, ...]:
        """Return all that a posted form gives for one name, such as boxes that were ticked."""
        return tuple(filter(None, (await self._fields()).get(name, ())))

    async def checked_form(self) -> dict[str, str]:
        """Read a form that a page of this session and this site posted.

        Raises:
            RefuseInput: `forbidden`, and as `form`.

        """
        form = await self.form()
        self.check_same_site()
        self.check_csrf(form.get("csrf", ""))
        return form

    async def _fields(self) -> dict[str, list[str]]:
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip()
        raw = await self.request.body()
        if raw and kind != "application/x-www-form-urlencoded":
            raise RefuseInput("bad_request", f"expected a form, found {kind[:60]!r}")
        try:
            fields = parse_qs(
                raw.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX
            )
        except ValueError as error:
            raise RefuseInput("bad_request", str(error)[:100]) from None
        return {name: [one[:FIELD_CHARS_MAX] for one in values] for name, values in fields.items()}

    def check_same_site(self) -> None:
        """Refuse a post that another site made the browser send.

        Raises:
            RefuseInput: `forbidden`.

        """
        origin = self.request.headers.get("origin")
        if origin is None:
            return
        if urlsplit(origin).netloc not in own_hosts(self.request.headers, self.services.base_url):
            raise RefuseInput("forbidden", "the request came from another site")

    def check_csrf(self, given: str) -> None:
        """Refuse a post that does not come from a page of this session.

        Raises:
            RefuseInput: `forbidden`.

        """
        given = self.request.headers.get(CSRF_HEADER) or given
        expected = self.session.csrf if self.session else ""
        if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
            raise RefuseInput("forbidden", "the page's CSRF token is missing or wrong")


class SignedIn(Protocol):
    """Builds the dependency of a page that makes one call."""

    def __call__(self, call: str, *, whole: bool = False) -> Callable[[Request], Visit]:
        """Build it, as `cloud.api.guard.Guard`; nobody signed in is sent to the login page."""
        ...


def visits(services: Services) -> tuple[Callable[[Request], Visit], SignedIn]:
    """Build the dependencies: of a visitor whoever it is, and of one who may make a call."""

    def anyone(request: Request) -> Visit:
        return Visit(request, services, _session(services, request))

    def signed_in(call: str, *, whole: bool = False) -> Callable[[Request], Visit]:
        check_call(call)

        def visit(request: Request) -> Visit:
            session = _session(services, request)
            if session is None:
                raise SignInFirst
            try:
                granted = grant(session.principal, call, whole=whole)
            except RefuseInput as error:
                raise NotForYou(Visit(request, services, session)) from error
            return Visit(request, services, session, granted)

        return mark(visit, call)

    return mark(anyone, OPEN), signed_in


def _session(services: Services, request: Request) -> Session | None:
    session = services.access.session(request.cookies.get(SESSION_COOKIE, ""))
    request.state.caller = session.principal.id if session else ""
    return session


def local_path(text: str) -> str:
    """Return `text` if it is a path of our own, else the console's: never lead away from here."""
    plain = text.isprintable() and "\\" not in text and not text.startswith("//")
    return text if text.startswith("/") and plain else "/"


def login_address(request: Request) -> str:
    """Return the login page's address that leads back to what was asked for."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/login?next={quote(local_path(asked), safe='/')}"


@lru_cache(maxsize=256)
def static_address(name: str) -> str:
    """Return the address of a static file; it changes with its content, so caches may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points_json"] = lambda points: msgspec.json.encode(points).decode()
    return environment
