"""An enterprise platform that reports its lifts by REST, with the faults that partners have.

`PlatformFleet` makes items and touches nothing; `run_platform` sends them. Duplicates, disorder, a
clock that is off, codes that no table has and entrapments come as often as asked, from one seed.
"""

import asyncio
import base64
import http.client
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from protocols.clock import Clock, iso
from protocols.errors import RefuseInput, RetryLater
from protocols.lifts.dialect import Dialect, Item, emergencies, load_dialects
from protocols.lifts.gbt24476 import ITEMS_MAX
from protocols.readings import Value

TIMEOUT_S = 10.0
RETRY_S = 1.0
FLOORS = 12
HELD_MAX = 1_000
"""Items that wait to be sent out of order; the oldest go first."""
UNKNOWN = "X999"
TOKEN, FORM = "/oauth2/token", "application/x-www-form-urlencoded"  # a path


@dataclass(frozen=True, kw_only=True)
class PlatformWishes:
    """What is to be sent; the shares are of 1."""

    url: str
    platform: str
    secret: str
    dialect: str = "special-equipment"
    version: str = "1"
    lifts: int = 10
    first_code: int = 31_102_202_022_026_010_001
    """Registration code of the first lift; the others count on."""
    interval_s: float = 10.0
    steps: int = 0
    """Rounds until it ends; 0: until told to stop."""
    duplicates: float = 0.0
    disorder: float = 0.0
    unknown: float = 0.0
    entrapments: float = 0.0
    """Of a lift and round."""
    clock_off_s: float = 0.0
    """Its clock is behind by so much."""
    seed: int = 1


@dataclass
class _Lift:
    code: str
    floor: int = 1
    direction: str = "none"
    trapped: int = 0
    """Rounds until they are let out."""


@dataclass
class PlatformFleet:
    """All lifts of a platform: what they say, round by round."""

    wishes: PlatformWishes
    dialect: Dialect
    _rng: random.Random = field(init=False)
    _lifts: list[_Lift] = field(init=False)
    _held: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    trapped: int = 0
    """Entrapments that were reported so far."""

    def __post_init__(self) -> None:
        """Draw nothing yet."""
        self._rng = random.Random(self.wishes.seed)
        first = self.wishes.first_code
        self._lifts = [_Lift(str(first + number)) for number in range(self.wishes.lifts)]

    def step(self, now_ms: int) -> list[tuple[str, dict[str, Any]]]:
        """Return the items of a round as (kind, item), in the order in which they are sent."""
        at = now_ms - round(self.wishes.clock_off_s * 1000)
        made: list[tuple[str, dict[str, Any]]] = []
        for lift in self._lifts:
            made += self._round_of(lift, at)
        held, self._held = self._held, []
        sent: list[tuple[str, dict[str, Any]]] = []
        for one in made:
            if self._chance(self.wishes.disorder) and len(self._held) < HELD_MAX:
                self._held.append(one)  # goes a round later
                continue
            sent.append(one)
            if self._chance(self.wishes.duplicates):
                sent.append(one)
        return [*sent, *held]

    def rest(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what was held back for disorder."""
        held, self._held = self._held, []
        return held

    def _round_of(self, lift: _Lift, at: int) -> list[tuple[str, dict[str, Any]]]:
        made: list[tuple[str, dict[str, Any]]] = []
        if lift.trapped:
            lift.trapped -= 1
            if not lift.trapped:
                made.append(("messages", self._message(lift, at - 1, "end")))
        elif self._chance(self.wishes.entrapments):
            lift.trapped, self.trapped = 3, self.trapped + 1
            made.append(("messages", self._message(lift, at - 1, "begin")))
        else:
            self._move(lift)
        codes: list[str | int] = [self._alarm()] if lift.trapped else []
        if self._chance(self.wishes.unknown):
            codes.append(UNKNOWN)
        item = {
            "registration_code": lift.code,
            "time_stamps": iso(at),
            "values": self._encoded(_canonical(lift)),
            "message_code": codes or [0],
        }
        return [*made, ("status", item)]

    def _message(self, lift: _Lift, at: int, state: str) -> dict[str, Any]:
        return {
            "registration_code": lift.code,
            "time_stamps": iso(at),
            "message_code": [self._alarm()],
            "state": state,
        }

    def _alarm(self) -> str:
        """Return the raw code by which this dialect calls for help."""
        called = emergencies()
        return next(raw for raw, code in self.dialect.codes.items() if code in called)

    def _encoded(self, values: Mapping[str, Value]) -> dict[str, Any]:
        found = {}
        for item in self.dialect.status:
            if item.point in values and (raw := _raw_of(item, values[item.point])) is not None:
                found[item.field] = raw
        return found

    def _move(self, lift: _Lift) -> None:
        lift.direction = self._rng.choice(("none", "none", "up", "down"))
        step = {"none": 0, "up": 1, "down": -1}[lift.direction]
        lift.floor = min(max(lift.floor + step, 1), FLOORS)

    def _chance(self, share: float) -> bool:
        return share > 0 and self._rng.random() < share


def _canonical(lift: _Lift) -> dict[str, Value]:
    moves = lift.direction != "none" and not lift.trapped
    return {
        "service_mode": "normal",
        "car_status": "running" if moves else "stopped",
        "car_direction": lift.direction if moves else "none",
        "door_zone": not moves,
        "car_position": lift.floor,
        "door_status": moves or bool(lift.trapped),
        "passenger_status": moves or bool(lift.trapped),
    }


def _raw_of(item: Item, value: Value) -> Any:
    if item.values:
        raw = next((raw for raw, known in item.values.items() if known == value), None)
        return int(raw) if raw is not None and raw.isdigit() else raw
    return str(value) if item.text_max is not None else value


async def run_platform(wishes: PlatformWishes, clock: Clock, write: Callable[[str], None]) -> None:
    """Send round after round until the wishes are met or it is cancelled.

    Raises:
        RefuseInput: no such dialect, or the service does not let the platform in.

    """
    dialect = load_dialects().get((wishes.dialect, wishes.version))
    if dialect is None:
        raise RefuseInput("unknown_dialect", f"no {wishes.dialect}@{wishes.version}")
    fleet, link, rounds = PlatformFleet(wishes, dialect), PlatformLink(wishes), 0
    write(f"seed {wishes.seed}, {wishes.lifts} lifts, {dialect.name}")
    while not wishes.steps or rounds < wishes.steps:
        rounds += 1
        counts = await link.send_all(fleet.step(clock.wall_ms()))
        told = ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))
        write(f"round {rounds}: {told}; entrapments so far {fleet.trapped}")
        if not wishes.steps or rounds < wishes.steps:
            await asyncio.sleep(wishes.interval_s)
    await link.send_all(fleet.rest())


class PlatformLink:
    """The platform's side of the interface: its token, and requests until they are answered."""

    def __init__(self, wishes: PlatformWishes) -> None:
        """Take where to send, and by which secret."""
        self._wishes, self._token = wishes, ""
        parts = urlsplit(wishes.url)
        self._secure, self._host = parts.scheme == "https", parts.netloc

    async def send_all(self, items: list[tuple[str, dict[str, Any]]]) -> Counter[str]:
        """Send items by kind, messages first; return how many came to what."""
        counts: Counter[str] = Counter()
        for kind in ("messages", "status", "statistics", "basic"):
            own = [item for its, item in items if its == kind]
            for start in range(0, len(own), ITEMS_MAX):
                answer = await self.send(kind, own[start : start + ITEMS_MAX])
                for one in answer["items"]:
                    counts[one.get("reason") or one["outcome"]] += 1
        return counts

    async def send(self, kind: str, items: list[dict[str, Any]]) -> Any:
        """Send one request until it is answered; RefuseInput: it never will be taken."""
        path = f"/api/v1/platforms/{self._wishes.platform}/{kind}"
        while True:
            if not self._token:
                self._token = await self._new_token()
            status, answer = await self._ask(
                "PUT",
                path,
                json.dumps({"items": items}, ensure_ascii=False).encode(),
                {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
            )
            if status == 200:
                return answer
            if status == 401:
                self._token = ""
            elif status in (429, 503):
                await asyncio.sleep(RETRY_S)
            else:
                raise RefuseInput("refused", f"{path}: {status} {answer}")

    async def _new_token(self) -> str:
        pair = f"{self._wishes.platform}:{self._wishes.secret}".encode()
        form = urlencode({"grant_type": "client_credentials"}).encode()
        basic = f"Basic {base64.b64encode(pair).decode()}"
        headers = {"Content-Type": FORM, "Authorization": basic}
        status, answer = await self._ask("POST", TOKEN, form, headers)
        if status != 200:
            raise RefuseInput("refused", f"{TOKEN}: {status} {answer}")
        return str(answer["access_token"])

    async def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        try:
            return await asyncio.to_thread(self._call, method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise RetryLater(f"{method} {path}: {error}") from error

    def _call(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None
