"""How often one may ask: a bucket of points for each caller, and for each address without one."""

import hashlib
import ipaddress
import re
from collections import OrderedDict
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.types import ASGIApp, Receive, Scope, Send

from cloud.api.problems import problem
from protocols.clock import Clock

Points = Annotated[int, Meta(ge=1, le=1_000_000)]
BUCKETS_MAX = 50_000
"""Of each kind remembered; the one asked for longest ago is forgotten first, as if it were full."""
ADDRESS_CHARS_MAX = 45
CALLER = "caller"
"""In the state of a request: id of the principal that it proved, empty when it proved none;
missing when nobody looked, as for a static file."""
SLOW = (
    *("/login", "/signup", "/redeem", "/account/", "/oauth2/"),
    *("/api/v1/signup", "/api/v1/redeem", "/api/v1/enroll", "/api/v1/me/"),
)
"""Beginnings of paths behind which a password is looked at, or as much is done."""
OPEN = ("/open/", "/q/", "/id/", "/r/", "/u/")
"""Beginnings of paths that are for everybody; also those of Digital Links, with their key."""
_KEY = re.compile(r"/[0-9]{2,4}/")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points that come back each second, points at most, and what each kind of request costs.

    A rescue centre stays far below: a screen asks for its parts every 5 s, for each open alarm.
    """

    caller_points_per_s: Points = 1_000
    caller_points: Points = 20_000
    address_points_per_s: Points = 100
    """For what is asked without a token or session that is known; many share an address."""
    address_points: Points = 10_000
    login_cost: Points = 20
    """A password is slow to check on purpose; sign-up and enrolment cost the same."""
    open_data_cost: Points = 10
    write_cost: Points = 2
    read_cost: Points = 1


class Buckets:
    """Token buckets, each kept as the one moment when it will be full again; bounded in number."""

    def __init__(self, points_per_s: float, points: float) -> None:
        self._ms_per_point = 1_000 / points_per_s
        self._ms_at_most = points * self._ms_per_point
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, cost: int, now_ms: float) -> float:
        """Take points; return 0, or when there are too few how long to wait for them, in ms."""
        full_at = max(self._full_at.get(key, now_ms), now_ms) + cost * self._ms_per_point
        wait_ms = full_at - now_ms - self._ms_at_most
        if wait_ms > 0:
            return wait_ms
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > BUCKETS_MAX:
            self._full_at.popitem(last=False)
        return 0

    def __len__(self) -> int:
        return len(self._full_at)


class RateLimit:
    """Answers 429 with Retry-After to who asks too often.

    A request counts for the caller that its token or session proved when it was last seen; before
    that, for its address. What a life may hang on is never counted: feed, acknowledgement, health.
    """

    def __init__(self, app: ASGIApp, *, rates: Rates, clock: Clock) -> None:
        self._app, self._rates, self._clock = app, rates, clock
        self._callers = Buckets(rates.caller_points_per_s, rates.caller_points)
        self._addresses = Buckets(rates.address_points_per_s, rates.address_points)
        self._proven: OrderedDict[bytes, str] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        cost = 0
        if scope["type"] in ("http", "websocket"):  # opening one is a look, too
            cost = cost_of(self._rates, scope.get("method", "GET"), scope["path"])
        if cost == 0:
            await self._app(scope, receive, send)
            return
        credential = _credential(scope)
        wait_ms = self._take(scope, credential, cost)
        if wait_ms > 0:
            seconds = str(int(-(-wait_ms // 1_000)))
            answer = problem(429, "too_many_requests", seconds, {"Retry-After": seconds})
            await answer(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        try:
            await self._app(scope, receive, send)
        finally:
            self._remember(credential, state.get(CALLER))

    def _take(self, scope: Scope, credential: bytes | None, cost: int) -> float:
        caller = self._proven.get(credential) if credential else None
        if caller:
            return self._callers.take(caller, cost, self._clock.boot_ms())
        return self._addresses.take(address_key(scope.get("client")), cost, self._clock.boot_ms())

    def _remember(self, credential: bytes | None, caller: str | None) -> None:
        if credential is None or caller is None:
            return
        if not caller:
            self._proven.pop(credential, None)
            return
        self._proven[credential] = caller
        self._proven.move_to_end(credential)
        if len(self._proven) > BUCKETS_MAX:
            self._proven.popitem(last=False)


def cost_of(rates: Rates, method: str, path: str) -> int:
    """Return what a request costs, 0 when it is never counted."""
    if path in ("/healthz", "/readyz", "/metrics", "/api/v1/feed", "/parts/alive"):
        return 0
    if method == "POST" and path.endswith("/acknowledge"):
        return 0
    if path.startswith("/login/with/"):
        return rates.login_cost
    if path.startswith(OPEN) or _KEY.match(path):
        return rates.open_data_cost
    if method in SAFE_METHODS:
        return rates.read_cost
    if path.startswith(SLOW):
        return rates.login_cost
    return rates.write_cost


def address_key(client: tuple[str, int] | None) -> str:
    """Return what stands for an address: of IPv6 the /64, which is one customer's."""
    text = client[0][:ADDRESS_CHARS_MAX] if client else "?"
    if ":" not in text:
        return text
    try:
        address = ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return text
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else address.exploded[:19]


def _credential(scope: Scope) -> bytes | None:
    found = [value for name, value in scope["headers"] if name in (b"authorization", b"cookie")]
    return hashlib.sha256(b"\n".join(found)).digest() if found else None
