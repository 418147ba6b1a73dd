"""The service that a city talks to: one that runs, or one of its own with deadlines at its pace."""

import asyncio
import math
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from protocols.catalog.files import data_root
from protocols.errors import RetryLater, StopService
from simulators.api import Api
from simulators.city_places import City, FirmPlace
from simulators.platform import Platform
from simulators.tell import Teller

AT_ONCE = 8
"""Calls under way while a city is registered."""
TOLD_EACH = 5_000
"""After so many registered lifts a line says so."""
TRIES, RETRY_S = 30, 0.5
_POLICY_S = re.compile(
    r"^(\s*(?:acknowledge|accept|warn|next_level|third_level|breach|response|arrival)_s\s*=\s*)(\d+)",
    re.MULTILINE,
)
_FOR_S = re.compile(r'^(\s*(?:for|keep_firing_for)\s*=\s*)"(\d+)s"', re.MULTILINE)
INFERRED_S = 20.0
"""`for` of the evidence without a button, as shipped."""


def at_pace_policy(text: str, pace: float) -> str:
    """Return the policy of rescues with its deadlines at a pace, whole seconds, without samples."""
    text = text[: text.index("[[sample]]")] if "[[sample]]" in text else text
    return _POLICY_S.sub(lambda m: f"{m[1]}{max(1, math.ceil(int(m[2]) / pace))}", text)


def at_pace_rule(text: str, pace: float) -> str:
    """Return a rule with its times at a pace."""
    return _FOR_S.sub(lambda m: f'{m[1]}"{max(1, round(int(m[2]) * 1_000 / pace))}ms"', text)


def write_overlay(folder: Path, pace: float) -> str:
    """Write the data of a service that lives at a pace; return the text of its settings."""
    for name, change in (
        ("rescue/policy.toml", at_pace_policy),
        ("rules/entrapment.toml", at_pace_rule),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (data_root() / name).read_text(encoding="utf-8")
        path.write_text(change(text, pace), encoding="utf-8")
    rates = "caller_points_per_s = 100_000\ncaller_points = 1_000_000"
    return f'schema = 1\nrules_overlay = "{folder}"\n\n[http.rates]\n{rates}\n'


async def start_own(platform: Platform, folder: Path, pace: float) -> None:
    """Start a broker and a service whose rescues go at a pace.

    Raises:
        StopService: it is not ready in time.

    """
    settings = await asyncio.to_thread(write_overlay, folder / "overlay", pace)
    mosquitto = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    await platform.start_cloud(settings=settings, mosquitto=mosquitto)


async def register(api: Api, city: City, tell: Teller) -> None:
    """Register firms, units and lifts; what is registered already is set anew.

    Raises:
        StopService: the service refuses.

    """
    for firm in city.firms:
        await _put(api, f"/api/v1/organisations/{firm.id}", _firm_body(firm))
    for unit in city.units:
        await _put(api, f"/api/v1/rescue-units/{unit.unit}", unit.body())
    tell.say(
        f"已登记 {len(city.firms)} 家维保单位、{len(city.units)} 支救援队伍",
        "firms and rescue units registered",
    )
    bodies = [(f"/api/v1/assets/{one.asset}", one.body) for one in city.lifts]
    for first in range(0, len(bodies), TOLD_EACH):
        await _put_all(api, bodies[first : first + TOLD_EACH])
        done = min(first + TOLD_EACH, len(bodies))
        tell.say(f"已登记 {done} 台电梯", f"{done} lifts registered")


async def all_incidents(api: Api, since: str, assets: set[str]) -> list[dict[str, Any]]:
    """Read every rescue of these lifts that was detected since.

    Raises:
        StopService: the service refuses.

    """
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        path = f"/api/v1/incidents?limit=1000&from={since}{before}"
        status, answer = await api.call("GET", path)
        if status != 200:
            raise StopService(f"{path} was answered {status}: {answer}")
        page = answer["incidents"]
        found += [one for one in page if one["asset"] in assets]
        if len(page) < 1_000:
            return found
        before = f"&before={page[-1]['id']}"


def _firm_body(firm: FirmPlace) -> dict[str, Any]:
    return {
        "kind": "maintenance_firm",
        "name": firm.name,
        "credit_code": firm.credit_code,
        "districts": list(firm.districts),
        "categories": ["special_equipment"],
        "contact": {"name": "值班调度", "phone": firm.phone},
    }


async def _put_all(api: Api, bodies: Sequence[tuple[str, Callable[[], dict[str, Any]]]]) -> None:
    waiting = iter(bodies)

    async def work() -> None:
        for path, body in waiting:
            await _put(api, path, body())

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


async def _put(api: Api, path: str, body: dict[str, Any]) -> None:
    for _ in range(TRIES):
        try:
            status, answer = await api.call("PUT", path, body)
        except RetryLater as error:
            status, answer = 503, str(error)
        if status < 300:
            return
        if status not in (429, 503):
            break
        await asyncio.sleep(RETRY_S)
    raise StopService(f"{path} was answered {status}: {answer}")
