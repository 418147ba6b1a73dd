"""The page's server and the desk: who may press what, and who is not let in."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from edge.interlock.base import Answered, Cleared, Judged, Named, Overrule, Pressed
from edge.interlock.desk import TRIES_MAX, WAIT_MS, Act, Desk, pin_hash
from edge.interlock.screen import PAGES_MAX
from edge.interlock.state import State
from edge.interlock.view import view
from edge.interlock.words import load_words
from edge.settings import Gate, GateOutput, Person
from protocols.cylinders.base import Reason, Verdict
from protocols.errors import RefuseInput
from simulators.processes import free_port
from tests.support.filling_place import BOOK, GOOD, Daemon, Devices, Registry, devices, running

PIN = pin_hash("2468", b"0123456789abcdef")
SETTINGS = Gate(
    id="gun-1",
    reader="fill-1",
    filler="org-7",
    gas="lpg",
    output=GateOutput(kind="modbus_tcp", gun="coil-gun", writes={}),
    people=(
        Person(id="op-7", name="王伟"),
        Person(id="m-1", name="李娜", role="enterprise_manager", pin=PIN),
    ),
)
WORDS = load_words(None)


def judged(*reasons: str) -> Judged:
    verdict = Verdict(
        decision="cannot_decide",
        reasons=tuple(Reason(reason=one, decision="cannot_decide") for one in reasons),
        rules_version=BOOK.version,
        due_on=date(2026, 6, 30),
        life_ends_on=None,
        limit_kg=14.5,
    )
    return Judged(
        verdict=verdict,
        code="cylinder:GOOD",
        may_overrule=("enterprise_manager",) if set(reasons) == {"snapshot_expired"} else (),
        checks=("marks_legible", "colour"),
    )


def pressed(state: State, desk: Desk | None = None, **act: Any) -> list[Any]:
    return (desk or Desk(lambda: 0)).events(Act(gate="gun-1", **act), SETTINGS, state)


def refused(state: State, desk: Desk | None = None, **act: Any) -> str:
    with pytest.raises(RefuseInput) as error:
        pressed(state, desk, **act)
    return error.value.reason


JUDGED = State(phase="judged", judged=judged("snapshot_expired"))
BLOCKED = State(phase="blocked", blocked="overfilled")


def test_buttons_mean_events() -> None:
    assert pressed(JUDGED, do="answer", check="colour") == [Answered("colour", passed=False)]
    answered = State(phase="judged", judged=judged(), answers=(("colour", False),))
    assert pressed(answered, do="all_passed") == [Answered("marks_legible", passed=True)]
    done = State(phase="done", checks_after=("no_leak",))
    assert pressed(done, do="all_passed") == [Answered("no_leak", passed=True)]
    assert pressed(JUDGED, do="end") == [Pressed("end")]
    assert pressed(JUDGED, do="name", person="op-7") == [Named("op-7")]
    assert refused(JUDGED, do="name", person="x") == "unknown_person"


def test_only_who_may_takes_a_decision_and_only_with_name_number_and_reason() -> None:
    good: dict[str, Any] = {"do": "overrule", "person": "m-1", "pin": "2468", "why": "by telephone"}
    assert pressed(JUDGED, **good) == [Overrule("m-1", "enterprise_manager", "by telephone")]
    assert refused(JUDGED, **{**good, "person": "op-7"}) == "not_allowed"
    assert refused(JUDGED, **{**good, "why": " "}) == "no_reason"
    assert refused(JUDGED, **{**good, "pin": "1"}) == "wrong_pin"
    assert refused(BLOCKED, **good) == "not_now"
    gone = State(phase="judged", judged=judged("snapshot_expired", "code_unknown"))
    assert refused(gone, **good) == "not_allowed"
    assert pressed(BLOCKED, do="clear", person="m-1", pin="2468") == [Cleared("m-1")]
    assert refused(BLOCKED, do="clear", person="op-7") == "not_allowed"
    assert refused(JUDGED, do="clear", person="m-1") == "not_now"


def test_who_guesses_numbers_waits() -> None:
    now_ms = [0]
    desk = Desk(lambda: now_ms[0])
    for _ in range(TRIES_MAX):
        assert refused(BLOCKED, desk, do="clear", person="m-1", pin="1") == "wrong_pin"
    assert refused(BLOCKED, desk, do="clear", person="m-1", pin="2468") == "wait"
    now_ms[0] = WAIT_MS
    assert pressed(BLOCKED, desk, do="clear", person="m-1", pin="2468") == [Cleared("m-1")]


def test_the_page_tells_every_reason_in_both_languages_and_green_only_when_released() -> None:
    reasons = ("inspection_overdue", "check_open", "check_open", "two_cylinders")
    seen = view(SETTINGS, State(phase="judged", judged=judged(*reasons)), BOOK, WORDS)
    assert [one.id for one in seen.reasons] == ["inspection_overdue", "check_open", "two_cylinders"]
    assert all(one.title and one.title_zh and one.do and one.do_zh for one in seen.reasons)
    assert seen.show == "cannot_decide"
    assert [one.id for one in seen.checks] == ["marks_legible", "colour"]
    assert seen.due_on == "2026-06-30"
    assert view(SETTINGS, JUDGED, BOOK, WORDS).may_overrule == ("m-1",)
    seen = view(SETTINGS, BLOCKED, BOOK, WORDS)
    assert seen.blocked is not None
    assert seen.blocked.title_zh == "超装"
    assert seen.may_clear == ("m-1",)
    for phase in ("idle", "judged", "releasing", "settling", "done", "blocked"):
        assert view(SETTINGS, State(phase=phase), BOOK, WORDS).show != "fill"


# --- the server, of a real daemon ----------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Devices]:
    with devices(tmp_path / "devices") as found:
        yield found


@pytest.fixture
async def daemon(place: Devices, tmp_path: Path) -> AsyncIterator[Daemon]:
    port = free_port()
    site = place.site(1, screen=f"127.0.0.1:{port}")
    async with running(Daemon(site, tmp_path / "state", Registry())) as one:
        one.port = port
        yield one


def call(
    port: int, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        link.request(method, path, body, named)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


async def test_the_server_answers_to_its_own_names_and_takes_buttons_from_its_own_page(
    daemon: Daemon,
) -> None:
    port, act = daemon.port, json.dumps({"gate": "gun-1", "do": "name", "person": "op-7"})
    own = {"Content_Type": "application/json"}

    async def answers(*args: Any, **headers: str) -> int:
        status, _ = await asyncio.to_thread(call, port, *args, **headers)
        return status

    assert await answers("GET", "/") == 200
    assert await answers("GET", "/", Host=f"localhost:{port}") == 200
    assert await answers("GET", "/", Host=f"evil.example:{port}") == 421
    assert await answers("GET", "/state", Host="127.0.0.1") == 421
    assert await answers("GET", "/../settings.py") == 404
    assert await answers("POST", "/act", act) == 403
    assert await answers("POST", "/act", act, Content_Type="text/plain") == 403
    for foreign in ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
        assert await answers("POST", "/act", act, **own, **foreign) == 403
    assert daemon.gate.state.operator == ""
    assert await answers("POST", "/act", "{" * 5_000, **own) == 400
    assert await answers("POST", "/act", "[1]", **own) == 409
    assert await answers("POST", "/act", act, **own, Origin=f"http://127.0.0.1:{port}") == 200
    assert daemon.gate.state.operator == "op-7"


async def test_a_change_is_told_at_once_and_pages_are_bounded(
    daemon: Daemon, place: Devices
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")

    async def told() -> dict[str, Any]:
        line = await asyncio.wait_for(reader.readuntil(b"\n\n"), 5)
        found: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
        return found

    assert (await told())["gates"][0]["show"] == "idle"
    place.put(GOOD)
    async with asyncio.timeout(8):
        while (await told())["gates"][0]["show"] != "cannot_decide":
            pass
    others = []
    for _ in range(PAGES_MAX):
        other, its = await asyncio.open_connection("127.0.0.1", daemon.port)
        its.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\n\r\n".encode())
        others.append((await other.readline(), its))
    assert b" 200 " in others[0][0]
    assert b" 503 " in others[-1][0]
    for _, its in [*others, (b"", writer)]:
        its.close()
