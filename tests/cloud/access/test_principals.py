from typing import Any

import pytest

from cloud.model.principal import EVERYTHING
from tests.support.people import Door


@pytest.mark.parametrize(
    ("theirs", "own", "expected"),
    [
        ([], None, None),
        ([], '["longtan"]', {"longtan"}),
        (["longtan", "chuanying"], None, {"longtan", "chuanying"}),
        (["longtan", "chuanying"], '["longtan","elsewhere"]', {"longtan"}),
        (["longtan"], '["chuanying"]', set()),
        (["longtan"], "[]", set()),
    ],
)
async def test_account_reaches_what_is_its_own_and_its_organisations(
    door: Door, theirs: list[str], own: Any, expected: set[str] | None
) -> None:
    await door.organisation("office", "district", districts=theirs)
    account = await door.account("a", "regulator", organisation="office", districts=own)
    principal = door.book.principal(account)
    assert principal is not None
    scope = principal.scope("assets.read")
    if expected is None:
        assert scope == EVERYTHING
    else:
        assert scope.remits[0].districts == frozenset(expected)


async def test_role_counts_only_where_its_kind_of_organisation_holds_it(firm: Door) -> None:
    roles = ("administrator", "regulator", "public", "king", "enterprise_clerk")
    account = await firm.account("a", *roles, organisation="firm-a")
    principal = firm.book.principal(account)
    assert principal is not None
    assert not any(scope.everything or scope.remits for scope in principal.may.values())
    assert principal.scope("assets.write").organisations == {"firm-a"}


async def test_account_is_written_with_its_username_however_long_the_name(firm: Door) -> None:
    account = await firm.account("li", "enterprise_clerk", organisation="firm-a", name="王" * 80)
    principal = firm.book.principal(account)
    assert principal is not None
    assert principal.by == "王" * 59 + " (li)"


async def test_session_ends_with_account_organisation_and_right(firm: Door, manager: int) -> None:
    session = await firm.opened(manager)
    for columns, known in [
        ({"state": "disabled"}, False),
        ({"state": "active"}, True),
        ({"organisation": "nowhere"}, False),
        ({"organisation": "firm-a"}, True),
    ]:
        await firm.set_account(manager, **columns)
        assert (firm.book.session(session.cookie) is not None) == known, columns
    await firm.set_account(manager, roles='["enterprise_clerk"]')
    found = firm.book.session(session.cookie)
    assert found is not None
    assert not found.principal.scope("accounts.write")
