"""Links for telephones, notes of shifts and the search for a lift, on a real state database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud.api.desk.base import end_link, hand_over, new_link, shift_of
from cloud.desk.links import AGE_MS_MAX, LINKS_MAX
from cloud.model.desk import HandoverBody, LinkBody
from cloud.model.granting import grant
from cloud.model.principal import NOTHING
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from tests.support.rescue_desk import ROOT, Centre, open_centre

ACT = grant(ROOT, "incidents.act")
HOUR_MS = 3_600_000


@pytest.fixture
async def centre(tmp_path: Path) -> AsyncIterator[Centre]:
    async with open_centre(tmp_path, clock=ManualClock(), runs=False) as centre:
        yield centre


def later(centre: Centre, ms: int) -> None:
    clock = centre.clock
    assert isinstance(clock, ManualClock)
    clock.advance(ms)


async def test_link_opens_what_it_was_made_for_and_nothing_else(centre: Centre) -> None:
    links = centre.services.desk.links
    incident = await centre.call(centre.lifts[0])
    link, path = await new_link(
        centre.services, ACT, incident.id, LinkBody(kind="unit", unit="firm-a")
    )
    token = path.removeprefix("/u/")
    assert len(token) >= 24
    assert (await links.open(token, "unit")).id == link.id
    for wrong, kind in ((token, "progress"), (token + "x", "unit"), ("", "unit")):
        with pytest.raises(RefuseInput, match="not_found"):
            await links.open(wrong, kind)  # type: ignore[arg-type]
    rows = centre.world.database.read_now(
        lambda c: c.exec_driver_sql("SELECT sha256, opened_at FROM desk_link").all()
    )
    assert token not in str(rows)
    assert rows[0].opened_at == centre.clock.wall_ms()


async def test_link_ends_when_it_is_revoked_or_too_old(centre: Centre) -> None:
    links = centre.services.desk.links
    incident = await centre.call(centre.lifts[0])
    body = LinkBody(kind="progress")
    one, path = await new_link(centre.services, ACT, incident.id, body)
    await end_link(centre.services, ACT, incident.id, one.id)
    await end_link(centre.services, ACT, incident.id, one.id)  # again changes nothing
    with pytest.raises(RefuseInput, match="not_found"):
        await links.open(path.removeprefix("/r/"), "progress")
    with pytest.raises(RefuseInput, match="not_found"):
        await end_link(centre.services, ACT, incident.id + 1, one.id)
    _, path = await new_link(centre.services, ACT, incident.id, body)
    later(centre, AGE_MS_MAX)
    with pytest.raises(RefuseInput, match="not_found"):
        await links.open(path.removeprefix("/r/"), "progress")


async def test_links_of_an_incident_are_bounded_and_end_with_it(centre: Centre) -> None:
    incident = await centre.call(centre.lifts[0])
    body = LinkBody(kind="progress")
    for _ in range(LINKS_MAX):
        await new_link(centre.services, ACT, incident.id, body)
    with pytest.raises(RefuseInput, match="quota_reached"):
        await new_link(centre.services, ACT, incident.id, body)
    other = await centre.call(centre.lifts[1])
    with pytest.raises(RefuseInput, match="unit: expected a registered one"):
        await new_link(centre.services, ACT, other.id, LinkBody(kind="unit"))
    await centre.act(other.id, "false_alarm", note="nobody inside")
    await new_link(centre.services, ACT, other.id, body)
    later(centre, 12 * HOUR_MS)
    with pytest.raises(RefuseInput, match="wrong_state"):
        await new_link(centre.services, ACT, other.id, body)


async def test_shift_begins_with_the_handover_before(centre: Centre) -> None:
    first = await centre.call(centre.lifts[0])
    made = await hand_over(centre.services, ACT, HandoverBody(to="赵六", note="lift 1"))
    assert (made.open, made.opened, made.ended) == ((first.number,), 1, 0)
    assert made.from_at == centre.clock.wall_ms() - 12 * HOUR_MS
    later(centre, HOUR_MS)
    await centre.call(centre.lifts[1])
    await centre.act(first.id, "false_alarm", note="empty car")
    shift = await shift_of(centre.services, ACT)
    assert shift.from_at == made.made_at
    assert [one.id for one in shift.ended] == [first.id]
    second = await hand_over(centre.services, ACT, HandoverBody(to="李四"))
    assert (len(second.open), second.opened, second.ended) == (1, 1, 1)
    found = await centre.services.desk.handovers.find(ACT)
    assert [one.id for one in found] == [second.id, made.id]
    with pytest.raises(RefuseInput, match="not_found"):
        await centre.services.desk.handovers.get(ACT, 99)


async def test_lift_is_found_by_code_and_by_words(centre: Centre) -> None:
    lifts = centre.services.desk.lifts
    (by_code,) = await lifts.by_code("310002", ACT.scope)
    assert by_code.asset_id == centre.lifts[1]
    assert await lifts.by_code("310002", NOTHING) == []
    assert await lifts.by_code("999999", ACT.scope) == []
    for text in (by_code.name, "松江中路", f"{by_code.asset_id[-6:]}", "松江中路 3 栋"):
        found = await lifts.search(text, ACT.scope)
        assert centre.lifts[1] in [one.asset_id for one in found], text
    for text in ("%", '"', "_", "松江中路 nowhere", " "):
        assert await lifts.search(text, ACT.scope) == [], text
    assert await lifts.search("松江中路", NOTHING) == []
