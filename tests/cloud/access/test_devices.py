"""Handhelds: what their tokens open, how they change, and how one that was lost is shut out."""

import asyncio

import pytest
from sqlalchemy import select

from cloud.access.codes import DEVICE_CODE_MS
from cloud.access.device_desk import DeviceDesk
from cloud.access.devices import DAY_MS, TERMS
from cloud.model.account import Issued
from cloud.model.audit import Entry
from cloud.model.database import Work
from cloud.model.people_tables import device
from cloud.model.principal import Granted
from protocols.errors import RefuseInput
from tests.support.people import Door, unnoted


def desk(door: Door) -> DeviceDesk:
    return DeviceDesk(door.database, door.clock, door.book, door.organisations)


def granted(door: Door, account: int) -> Granted:
    principal = door.book.principal(account)
    assert principal is not None
    return Granted(principal, "devices.write", principal.scope("devices.write"))


def unnoted_entry(_entry: Entry) -> Work:
    return lambda _connection: None


async def code_of(door: Door, account: int) -> str:
    code, _ = await desk(door).invite(None, granted(door, account), unnoted)
    return code


async def issue(door: Door, account: int) -> Issued:
    return await desk(door).issue(await code_of(door, account), "hall 3", unnoted_entry)


async def test_handheld_acts_for_its_account_and_no_further(firm: Door, manager: int) -> None:
    issued = await issue(firm, manager)
    known = firm.book.bearer(issued.token)
    assert known is not None
    assert (known.kind, known.id) == ("device", f"device:{issued.id}")
    assert (known.account, known.organisation) == (manager, "firm-a")
    assert known.by == "hall 3 (王五 (li))"
    assert known.scope("assets.read").organisations == {"firm-a"}
    for call in ("accounts.write", "keys.write", "devices.write", "account.use", "audit.read"):
        assert not known.scope(call)
    assert issued.offline_grace_s == TERMS.offline_grace_s
    assert firm.clock.wall_ms() < issued.renew_at < issued.expires_at


async def test_token_forged_foreign_or_cut_opens_nothing(firm: Door, manager: int) -> None:
    one, two = await issue(firm, manager), await issue(firm, manager)
    mixed = f"dv_{one.id}_{two.token.rpartition('_')[2]}"
    row = firm.database.read_now(
        lambda c: c.execute(select(device.c.sha256).where(device.c.id == one.id)).scalar_one()
    )
    wrong = [
        "",
        "dv_",
        f"dv_{one.id}",
        one.token[:-1],
        one.token + "A",
        mixed,
        f"dv_{one.id}_{row}",
    ]
    for token in [*wrong, one.token.replace("dv_", "sk_"), "dv_" + "é" * 20, "dv_" + "x" * 10_000]:
        assert firm.book.bearer(token) is None
    assert one.token not in repr(row)


async def test_code_makes_one_handheld_once_and_for_half_an_hour(firm: Door, manager: int) -> None:
    code = await code_of(firm, manager)
    tries = [desk(firm).issue(code, f"h{number}", unnoted_entry) for number in range(4)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, Issued) for one in done) == 1
    late = await code_of(firm, manager)
    firm.clock.advance(DEVICE_CODE_MS)
    for wrong in (late, code, "", "7K2M9-QXB4T-2HZ3C-NV8RD"):
        with pytest.raises(RefuseInput, match="bad_code"):
            await desk(firm).issue(wrong, "h", unnoted_entry)


async def test_code_of_an_account_that_was_closed_makes_none(firm: Door, manager: int) -> None:
    code = await code_of(firm, manager)
    await firm.set_account(manager, state="disabled")
    with pytest.raises(RefuseInput, match="bad_code"):
        await desk(firm).issue(code, "h", unnoted_entry)


async def test_lost_answer_of_a_renewal_does_no_harm(firm: Door, manager: int) -> None:
    first = await issue(firm, manager)
    lost = await desk(firm).renew(first.token)  # the answer never arrives
    assert firm.book.bearer(first.token) is not None
    second = await desk(firm).renew(first.token)
    assert firm.book.bearer(lost.token) is None
    assert firm.book.bearer(first.token) is not None
    assert firm.book.bearer(second.token) is not None  # used: the one before is nothing now
    assert firm.book.bearer(first.token) is None
    with pytest.raises(RefuseInput, match="no_token"):
        await desk(firm).renew(first.token)
    await firm.book.flush()
    again = await firm.again()
    assert again.book.bearer(first.token) is None
    assert again.book.bearer(second.token) is not None


async def test_use_of_the_new_token_that_was_not_written_yet_breaks_nothing(
    firm: Door, manager: int
) -> None:
    first = await issue(firm, manager)
    second = await desk(firm).renew(first.token)
    assert firm.book.bearer(second.token) is not None
    again = await firm.again()  # the process ended before it wrote
    assert again.book.bearer(second.token) is not None
    third = await desk(again).renew(second.token)
    assert again.book.bearer(third.token) is not None
    assert again.book.bearer(first.token) is None


async def test_renewals_at_once_leave_one_token_and_the_one_before(
    firm: Door, manager: int
) -> None:
    first = await issue(firm, manager)
    other = await firm.again()
    renewed = await asyncio.gather(
        *(desk(door).renew(first.token) for door in (firm, other, firm, other))
    )
    await firm.refresh()
    good = [one for one in renewed if firm.book.bearer(one.token) is not None]
    assert len(good) == 1


async def test_handheld_that_was_lost_is_told_so_and_shut_out(firm: Door, manager: int) -> None:
    issued, other = await issue(firm, manager), await firm.again()
    renewed = await desk(firm).renew(issued.token)
    await desk(firm).revoke(issued.id, granted(firm, manager), unnoted)
    await other.refresh()
    for door in (firm, other, await firm.again()):
        for token in (issued.token, renewed.token):
            with pytest.raises(RefuseInput, match="device_revoked"):
                door.book.bearer(token)
            with pytest.raises(RefuseInput, match="device_revoked"):
                await desk(door).renew(token)
        assert door.book.bearer(issued.token[:-1]) is None  # told to whoever proves it only
    (listed,) = desk(firm).find(granted(firm, manager).scope)
    assert (listed.revoked_by, listed.revoked_at) == (f"account:{manager}", firm.clock.wall_ms())
    assert not hasattr(listed, "sha256")


async def test_token_ends_with_its_term_unless_it_is_renewed(firm: Door, manager: int) -> None:
    first = await issue(firm, manager)
    firm.clock.advance(TERMS.days * DAY_MS - 1)
    second = await desk(firm).renew(first.token)
    firm.clock.advance(1)
    assert firm.book.bearer(second.token) is not None
    firm.clock.advance(TERMS.days * DAY_MS)
    assert firm.book.bearer(second.token) is None
    with pytest.raises(RefuseInput, match="no_token"):
        await desk(firm).renew(second.token)


async def test_handheld_ends_with_its_account_and_its_organisation(
    firm: Door, manager: int
) -> None:
    issued = await issue(firm, manager)
    for columns, known in [
        ({"state": "disabled"}, False),
        ({"state": "active"}, True),
        ({"organisation": "nowhere"}, False),
    ]:
        await firm.set_account(manager, **columns)
        assert (firm.book.bearer(issued.token) is not None) == known


async def test_worker_deals_with_the_own_handhelds_only(firm: Door, manager: int) -> None:
    await firm.organisation("station", "filling_station")
    one, two = [await firm.account(name, "filling_worker", organisation="station") for name in "ab"]
    mine, theirs = await issue(firm, one), await issue(firm, two)
    scope = granted(firm, one).scope
    assert [held.id for held in desk(firm).find(scope)] == [mine.id]
    for foreign in (two, manager, 999):
        with pytest.raises(RefuseInput, match="not_found"):
            await desk(firm).invite(foreign, granted(firm, one), unnoted)
    with pytest.raises(RefuseInput, match="not_found"):
        await desk(firm).revoke(theirs.id, granted(firm, one), unnoted)
    await desk(firm).revoke(mine.id, granted(firm, one), unnoted)


async def test_quota_of_handhelds_is_kept(firm: Door, manager: int) -> None:
    await firm.organisation("small", quotas='{"devices_max":1}')
    account = await firm.account("m", "enterprise_manager", organisation="small")
    await issue(firm, account)
    with pytest.raises(RefuseInput, match="quota_reached"):
        await issue(firm, account)
