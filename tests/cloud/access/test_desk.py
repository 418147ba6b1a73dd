"""What managers do about accounts and keys: nobody gives beyond the own, and somebody stays."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, select

from cloud.access.codes import CODE_MS
from cloud.access.desk import AccountDesk
from cloud.access.keys import DAY_MS, DAYS_MAX
from cloud.model.account import AccountChange, NewAccount
from cloud.model.people_tables import api_key, identity, one_time_code
from cloud.model.principal import Granted
from cloud.model.session import Session
from protocols.errors import RefuseInput
from tests.support.people import PASSWORD, Door, unnoted

NEW = "ein ganz anderes Wort"


def desk(door: Door) -> AccountDesk:
    return AccountDesk(door.database, door.clock, door.book, door.organisations)


def granted(door: Door, account: int, call: str = "accounts.write") -> Granted:
    principal = door.book.principal(account)
    assert principal is not None
    return Granted(principal, call, principal.scope(call))


async def invite(door: Door, by: int, username: str, *roles: str, **fields: Any) -> tuple[int, str]:
    new = NewAccount(username=username, name="赵六", roles=roles, **fields)
    made, code = await desk(door).open(new, granted(door, by), unnoted)
    return made.id, code


async def test_invitation_is_taken_once_with_a_password_of_the_own(
    firm: Door, manager: int
) -> None:
    account, code = await invite(firm, manager, "zhao", "enterprise_clerk")
    assert firm.known(account).state == "invited"
    rows = firm.database.read_now(lambda c: c.execute(select(one_time_code)).all())
    assert code.replace("-", "") not in repr(rows)
    for weak in ("short", "password1234", "my zhao's word 1", "all of Firm firm-a 7"):
        with pytest.raises(RefuseInput, match="weak_password"):
            await desk(firm).redeem(code, weak, unnoted)
    assert (await desk(firm).redeem(code.lower().replace("-", " "), NEW, unnoted)).id == account
    assert isinstance(await firm.log_in("zhao", NEW), Session)
    with pytest.raises(RefuseInput, match="bad_code"):
        await desk(firm).redeem(code, NEW, unnoted)


async def test_code_is_good_for_72_hours_and_until_the_next_one(firm: Door, manager: int) -> None:
    account, first = await invite(firm, manager, "zhao", "enterprise_clerk")
    second = await desk(firm).reset(account, granted(firm, manager), unnoted)
    with pytest.raises(RefuseInput, match="bad_code"):
        await desk(firm).redeem(first, NEW, unnoted)
    firm.clock.advance(CODE_MS)
    with pytest.raises(RefuseInput, match="bad_code"):
        await desk(firm).redeem(second, NEW, unnoted)


async def test_code_taken_by_two_at_once_lets_one_in(firm: Door, manager: int) -> None:
    _, code = await invite(firm, manager, "zhao", "enterprise_clerk")
    doors = [firm, await firm.again()] * 2
    tries = [desk(door).redeem(code, f"{NEW} {n}", unnoted) for n, door in enumerate(doors)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1


async def test_code_that_is_wrong_costs_no_hash(
    firm: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_arguments: object, **_named: object) -> str:
        raise AssertionError("a stranger without a code made the service hash")

    monkeypatch.setattr(firm.book.verifier, "hash", never)
    with pytest.raises(RefuseInput, match="bad_code"):
        await desk(firm).redeem("7K2M9-QXB4T-2HZ3C-NV8RD", NEW, unnoted)


async def test_reset_ends_sessions_password_and_second_factor(firm: Door, manager: int) -> None:
    account = await firm.account("zhao", "enterprise_clerk", organisation="firm-a")
    session = await firm.opened(account)
    await firm.give_second_factor(account)
    code = await desk(firm).reset(account, granted(firm, manager), unnoted)
    assert firm.book.session(session.cookie) is None
    assert await firm.log_in("zhao", PASSWORD) is None
    await desk(firm).redeem(code, NEW, unnoted)
    assert isinstance(await firm.log_in("zhao", NEW), Session)


@pytest.mark.parametrize(
    "fields",
    [
        {"roles": ("administrator",)},
        {"roles": ("regulator",)},
        {"roles": ("filling_worker",)},
        {"roles": ("public",)},
        {"roles": ("king",)},
        {"roles": ("enterprise_clerk",), "districts": ("longtan",)},
        {"roles": ("enterprise_clerk",), "districts": ()},
        {"roles": ("enterprise_clerk",), "organisation": "firm-b"},
        {"roles": ("enterprise_clerk",), "organisation": "platform"},
        {"roles": ("enterprise_clerk",), "organisation": "none"},
    ],
)
async def test_nobody_gives_what_is_not_the_own(
    firm: Door, manager: int, fields: dict[str, Any]
) -> None:
    await firm.organisation("firm-b")
    roles, fields = fields["roles"], {name: fields[name] for name in fields if name != "roles"}
    with pytest.raises(RefuseInput, match=r"forbidden|not_found"):
        await invite(firm, manager, "zhao", *roles, **fields)
    assert firm.book.accounts.named("zhao") is None


async def test_nobody_raises_themselves(firm: Door, manager: int) -> None:
    for asked in (
        AccountChange(roles=("administrator", "enterprise_manager")),
        AccountChange(districts=("longtan",)),
    ):
        with pytest.raises(RefuseInput, match="forbidden"):
            await desk(firm).change(manager, asked, granted(firm, manager), unnoted)


async def test_last_who_looks_after_the_accounts_stays(firm: Door, manager: int, root: int) -> None:
    off, clerk = AccountChange(state="disabled"), AccountChange(roles=("enterprise_clerk",))
    for account, by, asked in (
        (manager, manager, off),
        (manager, root, off),
        (manager, manager, clerk),
        (root, root, off),
    ):
        with pytest.raises(RefuseInput, match="last_keeper"):
            await desk(firm).change(account, asked, granted(firm, by), unnoted)
    for account in (manager, root):
        assert firm.row(account).state == firm.known(account).state == "active"
    assert firm.known(manager).roles == ("enterprise_manager",)


async def test_two_who_shut_each_other_out_at_once_leave_one(firm: Door, manager: int) -> None:
    second = await firm.account("zhao", "enterprise_manager", organisation="firm-a")
    other, off = await firm.again(), AccountChange(state="disabled")
    done = await asyncio.gather(
        desk(firm).change(second, off, granted(firm, manager), unnoted),
        desk(other).change(manager, off, granted(other, second), unnoted),
        return_exceptions=True,
    )
    states = {firm.row(manager).state, firm.row(second).state}
    assert states == {"active", "disabled"}
    assert sum(isinstance(one, RefuseInput) for one in done) == 1


async def test_who_is_disabled_is_signed_out_at_once(firm: Door, manager: int) -> None:
    account = await firm.account("zhao", "enterprise_clerk", organisation="firm-a")
    session = await firm.opened(account)
    off = AccountChange(state="disabled")
    await desk(firm).change(account, off, granted(firm, manager), unnoted)
    assert firm.book.session(session.cookie) is None
    on = AccountChange(state="active")
    await desk(firm).change(account, on, granted(firm, manager), unnoted)
    assert firm.book.session(session.cookie) is None


async def test_account_of_a_sign_on_alone_is_enabled_again(firm: Door, manager: int) -> None:
    account = await firm.account("by-oidc", "enterprise_clerk", organisation="firm-a")
    await firm.set_account(account, password=None)
    row = {"issuer": "https://login.city.example", "subject": "x", "account": account}
    firm.database.write_now(lambda c: c.execute(insert(identity).values(**row, created_at=1)))
    off, on = AccountChange(state="disabled"), AccountChange(state="active")
    await desk(firm).change(account, off, granted(firm, manager), unnoted)
    with pytest.raises(RefuseInput, match="forbidden"):
        await firm.opened(account)
    changed = await desk(firm).change(account, on, granted(firm, manager), unnoted)
    assert changed.state == firm.row(account).state == "active"
    assert (await firm.opened(account)).principal.id == f"account:{account}"


async def test_account_with_nothing_to_come_in_by_is_enabled_as_one_invited(
    firm: Door, manager: int
) -> None:
    account = await firm.account("zhao", "enterprise_clerk", organisation="firm-a")
    off, on = AccountChange(state="disabled"), AccountChange(state="active")
    by = granted(firm, manager)
    await desk(firm).reset(account, by, unnoted)
    await desk(firm).change(account, off, by, unnoted)
    assert (await desk(firm).change(account, on, by, unnoted)).state == "invited"
    with pytest.raises(RefuseInput, match="invitation is taken first"):
        await desk(firm).change(account, on, by, unnoted)
    code = await desk(firm).reset(account, by, unnoted)
    await desk(firm).redeem(code, "another long one", unnoted)
    assert await firm.log_in("zhao", "another long one") is not None


async def test_manager_hands_over_in_one_step(firm: Door, manager: int) -> None:
    heir = await firm.account("zhao", "enterprise_clerk", organisation="firm-a")
    await firm.organisation("firm-b")
    foreign = await firm.account("of-b", "enterprise_clerk", organisation="firm-b")
    gone = await firm.account("off", "enterprise_clerk", organisation="firm-a", state="disabled")
    for wrong in (foreign, gone, manager, 999):
        with pytest.raises(RefuseInput, match=r"not_found|bad_request"):
            await desk(firm).hand_over(manager, wrong, granted(firm, manager), unnoted)
    await desk(firm).hand_over(manager, heir, granted(firm, manager), unnoted)
    assert firm.known(heir).roles == ("enterprise_clerk", "enterprise_manager")
    assert firm.known(manager).roles == ("enterprise_clerk",)
    principal = firm.book.principal(manager)
    assert principal is not None
    assert not principal.scope("accounts.write")


async def key_of(firm: Door, account: int, *calls: str, days: int = 30) -> str:
    by = granted(firm, account, "keys.write")
    token, _ = await desk(firm).make_key("erp", calls, days, by, unnoted)
    return token


async def test_key_may_what_it_was_given_as_long_as_its_account_may(
    firm: Door, manager: int
) -> None:
    token = await key_of(firm, manager, "assets.read", "assets.write")
    known = firm.book.bearer(token)
    assert known is not None
    assert set(known.may) == {"assets.read", "assets.write"}
    assert known.scope("assets.read").organisations == {"firm-a"}
    rows = firm.database.read_now(lambda c: c.execute(select(api_key)).all())
    assert token not in repr(rows)
    for wrong in (token[:-1], token + "A", "sk_", token.removeprefix("sk_")):
        assert firm.book.bearer(wrong) is None
    await firm.set_account(manager, roles='["inspector"]')
    found = firm.book.bearer(token)
    assert found is not None
    assert not found.may
    await firm.set_account(manager, state="disabled")
    assert firm.book.bearer(token) is None


async def test_key_is_given_no_more_than_its_maker_may(firm: Door, manager: int) -> None:
    for call in ("gateways.command", "account.use", "no.such", ""):
        with pytest.raises(RefuseInput, match="forbidden"):
            await key_of(firm, manager, "assets.read", call)
    for days in (0, -1, DAYS_MAX + 1):
        with pytest.raises(RefuseInput, match="bad_request"):
            await key_of(firm, manager, "assets.read", days=days)
    made = firm.book.bearer(await key_of(firm, manager, "keys.write", "assets.read"))
    assert made is not None
    by_key = Granted(made, "keys.write", made.scope("keys.write"))
    with pytest.raises(RefuseInput, match="forbidden"):  # a key makes no keys
        await desk(firm).make_key("more", ["assets.read"], 30, by_key, unnoted)


async def test_key_ends_with_its_term_and_when_it_is_revoked(firm: Door, manager: int) -> None:
    short, long = [await key_of(firm, manager, "assets.read", days=n) for n in (1, DAYS_MAX)]
    other = await firm.again()
    firm.clock.advance(DAY_MS)
    for door in (firm, other):
        assert door.book.bearer(short) is None
        assert door.book.bearer(long) is not None
    key = next(one for one in firm.book.keys.of("firm-a") if firm.book.keys.find(long) == one)
    await desk(firm).revoke_key(key.id, granted(firm, manager, "keys.write"), unnoted)
    await other.refresh()
    for door in (firm, other, await firm.again()):
        assert door.book.bearer(long) is None
