"""The book of organisations on both databases."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select

from cloud.model.database import Database
from cloud.model.organisation import PLATFORM, Contact, Details, Organisation
from cloud.model.people_tables import (
    account,
    api_key,
    device,
    identity,
    one_time_code,
    organisation,
    session,
)
from cloud.model.permissions import load_categories
from cloud.model.principal import EVERYTHING, NOTHING, Principal, Remit, Scope
from cloud.model.tables import asset_party
from cloud.organisations.base import Wanted
from cloud.organisations.book import OrganisationBook
from cloud.organisations.kinds import load_kinds
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from tests.support.firms import (
    DISTRICT,
    OTHER_DISTRICT,
    ROOT,
    credit_code,
    district_details,
    firm_details,
)

OFFICE = Principal(kind="account", id="account:9", by="x", organisation="office", may={})


def remit(*districts: str, categories: frozenset[str] | None = None) -> Scope:
    return Scope(remits=(Remit(frozenset(districts), categories),))


def own(organisation_id: str) -> Scope:
    return Scope(organisations=frozenset({organisation_id}))


async def ids(book: OrganisationBook, scope: Scope, **wanted: Any) -> list[str]:
    return [one.id for one in await book.find(scope, Wanted(**wanted))]


async def test_platform_is_made_once_and_stays(book: OrganisationBook) -> None:
    await book.load()
    assert await ids(book, EVERYTHING) == [PLATFORM]
    one = book.peek(PLATFORM)
    assert one is not None
    assert (one.kind, one.state) == ("platform", "active")
    with pytest.raises(RefuseInput, match="forbidden"):
        await book.take(PLATFORM, "suspend", scope=EVERYTHING, by=ROOT, reason="x")


async def test_what_is_put_is_found_again_by_another_process(
    book: OrganisationBook, database: Database, clock: ManualClock
) -> None:
    details = firm_details(1, contact=Contact(name="王五", phone="123456"), quotas={"keys_max": 1})
    made, new = await book.put("firm-a", details, by=ROOT)
    assert new
    assert (made.state, made.decided_by) == ("active", "token:admin")
    other = OrganisationBook(database, clock)
    await other.load()
    assert other.peek("firm-a") == made
    clock.advance(5_000)
    changed, new = await book.put("firm-a", firm_details(1, name="新名"), by=ROOT)
    assert not new
    assert (changed.applied_at, changed.name) == (made.applied_at, "新名")
    await other.refresh()
    assert other.peek("firm-a") == changed
    assert await other.get("firm-a", scope=EVERYTHING) == changed


async def test_put_changes_neither_kind_nor_what_is_gone(book: OrganisationBook) -> None:
    await book.put("firm-a", firm_details(1), by=ROOT)
    with pytest.raises(RefuseInput, match="kind"):
        await book.put("firm-a", firm_details(1, kind="filling_station"), by=ROOT)
    await book.leave("firm-a", credit_code(1), scope=own("firm-a"), by=OFFICE)
    with pytest.raises(RefuseInput, match="wrong_state"):
        await book.put("firm-a", firm_details(1), by=ROOT)


async def test_credit_code_belongs_to_one_open_organisation(book: OrganisationBook) -> None:
    await book.put("firm-a", firm_details(1), by=ROOT)
    with pytest.raises(RefuseInput, match="credit_code_taken"):
        await book.put("firm-b", firm_details(1), by=ROOT)
    await book.leave("firm-a", credit_code(1), scope=own("firm-a"), by=OFFICE)
    await book.put("firm-b", firm_details(1), by=ROOT)
    assert await ids(book, EVERYTHING, text=credit_code(1).lower()) == ["firm-a", "firm-b"]


def brute(scope: Scope, one: Organisation) -> bool:
    """Tell in the plainest way whether the scope admits it."""
    if scope.everything or one.id in scope.organisations:
        return True
    if load_kinds()[one.kind].authority:
        return False
    return any(
        (r.districts is None or bool(r.districts & set(one.districts)))
        and (r.categories is None or bool(r.categories & set(one.categories)))
        for r in scope.remits
    )


async def test_query_admits_what_the_rule_says_and_nothing_else(
    book: OrganisationBook, clock: ManualClock
) -> None:
    rng = random.Random(5)
    districts = ["a", "A", "a%", "a_", 'a"b', "船营区"]
    categories = list(load_categories())
    for number in range(60):
        clock.advance(1)
        kind = rng.choice([kind.id for kind in load_kinds().values()])
        details = Details(
            kind=kind,
            name=f"n{number}",
            credit_code=credit_code(number),
            department="health" if kind == "department" else None,
            districts=tuple(rng.sample(districts, rng.randint(1, 3))),
            categories=tuple(rng.sample(categories, rng.randint(1, 3))),
        )
        await book.put(f"o{number}", details, by=ROOT)
    known = await book.find(EVERYTHING, Wanted(limit=100))
    scopes = [EVERYTHING, NOTHING, Scope(account=7), own("o3"), own("platform"), remit()]
    for _ in range(60):
        reach = Remit(
            rng.choice([None, frozenset(rng.sample(districts, 2))]),
            rng.choice([None, frozenset(rng.sample(categories, 2))]),
            rng.random() < 0.5,
        )
        scopes.append(Scope(remits=(reach,), organisations=frozenset(rng.sample(["o1", "o2"], 1))))
    for scope in scopes:
        assert await ids(book, scope) == [one.id for one in known if brute(scope, one)]
        for one in known[:10]:
            if brute(scope, one):
                assert (await book.get(one.id, scope=scope)).id == one.id
            else:
                with pytest.raises(RefuseInput, match="not_found"):
                    await book.get(one.id, scope=scope)


async def test_list_is_paged_and_narrowed(book: OrganisationBook, clock: ManualClock) -> None:
    for number in range(5):
        clock.advance(number % 2)
        await book.put(f"f{number}", firm_details(number, name=f"100% 店_{number}"), by=ROOT)
    seen: list[str] = []
    after = None
    while page := await book.find(EVERYTHING, Wanted(kind="enterprise", after=after, limit=2)):
        seen += [one.id for one in page]
        after = page[-1].applied_at, page[-1].id
    assert sorted(seen) == [f"f{n}" for n in range(5)]
    assert await ids(book, EVERYTHING, text="店_3") == ["f3"]
    assert await ids(book, EVERYTHING, text="0% 店") == [*seen]
    assert await ids(book, EVERYTHING, text="店%3") == []
    assert await ids(book, EVERYTHING, text="a\0b") == []
    assert await ids(book, EVERYTHING, states=["left"]) == []


async def test_offices_decide_about_firms_of_their_district_only(book: OrganisationBook) -> None:
    await book.put("firm-a", firm_details(1), by=ROOT)
    await book.put("office", district_details(DISTRICT), by=ROOT)
    mine, foreign = remit(DISTRICT), remit(OTHER_DISTRICT)
    for scope, step in ((foreign, "suspend"), (NOTHING, "suspend"), (own("firm-b"), "suspend")):
        with pytest.raises(RefuseInput, match="not_found"):
            await book.take("firm-a", step, scope=scope, by=OFFICE, reason="x")  # type: ignore[arg-type]
    for scope in (
        mine,
        EVERYTHING,
    ):  # an office that looks after the whole city is no more than one
        with pytest.raises(RefuseInput, match="not_found"):
            await book.take("office", "suspend", scope=scope, by=OFFICE, reason="x")
    with pytest.raises(RefuseInput, match="bad_request: reason"):
        await book.take("firm-a", "suspend", scope=mine, by=OFFICE)
    after = await book.take("firm-a", "suspend", scope=mine, by=OFFICE, reason="无证经营")
    assert (after.state, after.reason, after.decided_by) == ("suspended", "无证经营", "account:9")
    assert book.peek("firm-a") == after
    with pytest.raises(RefuseInput, match="wrong_state"):
        await book.leave("firm-a", credit_code(1), scope=own("firm-a"), by=OFFICE)
    after = await book.take("firm-a", "resume", scope=mine, by=OFFICE)
    assert (after.state, after.reason) == ("active", "")


async def test_what_fails_in_the_same_transaction_changes_nothing(book: OrganisationBook) -> None:
    await book.put("firm-a", firm_details(1), by=ROOT)
    before = book.peek("firm-a")

    def fail(_connection: object) -> None:
        raise RefuseInput("no_audit")

    def takes() -> list[Any]:
        scope = own("firm-a")
        return [
            book.put("firm-a", firm_details(1, name="x"), by=ROOT, also=[fail]),
            book.set_contact("firm-a", Contact(name="x"), scope=scope, also=[fail]),
            book.take("firm-a", "suspend", scope=EVERYTHING, by=ROOT, reason="x", also=[fail]),
            book.leave("firm-a", credit_code(1), scope=scope, by=ROOT, also=[fail]),
        ]

    for take in takes():
        with pytest.raises(RefuseInput, match="no_audit"):
            await take
    assert book.peek("firm-a") == before
    assert await book.get("firm-a", scope=EVERYTHING) == before


def _member(database: Database, organisation_id: str, username: str) -> int:
    fields = {
        "username": username,
        "name": "王五",
        "organisation": organisation_id,
        "roles": '["enterprise_manager"]',
        "password": "hash",
        "second_factor": "sealed",
        "recovery": '["hash"]',
        "state": "active",
        "failures": 0,
        "created_at": 1,
        "updated_at": 1,
    }

    def write(connection: Any) -> int:
        key = connection.execute(insert(account).values(**fields)).inserted_primary_key[0]
        for table, row in _ways_in(int(key), organisation_id):
            connection.execute(insert(table).values(**row))
        return int(key)

    return database.write_now(write)


def _ways_in(key: int, organisation_id: str) -> list[tuple[Any, dict[str, Any]]]:
    """Return a row of each way in which the account comes in."""
    own = {"account": key, "organisation": organisation_id}
    opened = {"by": "", "csrf": "c", "second_factor": False, "opened_at": 1, "seen_at": 1}
    asked = {"purpose": "reset", "detail": "{}", "created_at": 1, "expires_at": 9}
    issued = {"name": "d", "issued_at": 1, "renewed_at": 1, "expires_at": 9**15}
    made = {"name": "k", "calls": "[]", "created_at": 1, "expires_at": 9**15}
    known = {"issuer": "i", "subject": f"{key}", "created_at": 1}
    return [
        (session, {"sha256": f"s{key}", "account": key, **opened}),
        (identity, {"account": key, **known}),
        (one_time_code, {"sha256": f"o{key}", "account": key, **asked}),
        (api_key, {"sha256": f"k{key}", **own, **made}),
        (device, {"id": f"d{key}", "sha256": f"d{key}", **own, **issued}),
    ]


async def test_who_leaves_lets_nobody_in_and_leaves_ids_behind(
    book: OrganisationBook, database: Database, clock: ManualClock
) -> None:
    heard = []

    async def on_members() -> None:
        heard.append(1)

    book.on_members.append(on_members)
    for number, name in enumerate(("firm-a", "firm-b")):
        details = firm_details(number, contact=Contact(name="王五", phone="123456"))
        await book.put(name, details, by=ROOT)
        _member(database, name, f"user-{name}")
    party = {"asset_id": "stall:1", "part": "owner", "organisation": "firm-a"}
    database.write_now(lambda c: c.execute(insert(asset_party).values(**party)))
    for code in ("", credit_code(1), "nonsense"):
        with pytest.raises(RefuseInput):
            await book.leave("firm-a", code, scope=own("firm-a"), by=OFFICE)
    for scope in (own("firm-b"), NOTHING, remit(DISTRICT, categories=frozenset({"drugs"}))):
        with pytest.raises(RefuseInput, match="not_found"):
            await book.leave("firm-a", credit_code(0), scope=scope, by=OFFICE)
    assert heard == []
    clock.advance(1_000)
    gone = await book.leave("firm-a", credit_code(0).lower(), scope=own("firm-a"), by=OFFICE)
    assert heard == [1]
    now = clock.wall_ms()
    assert (gone.state, gone.left_at, gone.contact) == ("left", now, Contact())

    def rows(table: Any) -> list[Any]:
        query = select(table).order_by(*table.primary_key.columns)
        return list(database.read_now(lambda c: c.execute(query).all()))

    first, second = rows(account)
    assert (first.state, first.username, first.name) == ("gone", f"gone-{first.id}", "")
    assert (first.password, first.second_factor, first.recovery) == (None, None, "[]")
    assert (second.state, second.username) == ("active", "user-firm-b")
    assert [one.ended_at for one in rows(session)] == [now, None]
    assert [one.revoked_at for one in rows(api_key)] == [now, None]
    assert [(one.revoked_at, one.revoked_by) for one in rows(device)] == [
        (now, "account:9"),
        (None, None),
    ]
    assert [one.account for one in rows(identity)] == [second.id]
    assert [one.account for one in rows(one_time_code)] == [second.id]
    assert [one.organisation for one in rows(asset_party)] == ["firm-a"]


async def test_quota_holds_for_two_at_once(book: OrganisationBook, database: Database) -> None:
    await book.put("firm-a", firm_details(1, quotas={"assets_max": 3}), by=ROOT)
    one = book.peek("firm-a")
    assert one is not None
    assert book.quotas(one) == {**load_kinds()["enterprise"].quotas, "assets_max": 3}

    second = Database(database.engine.url.render_as_string(), name="second")

    async def add(number: int) -> str:
        row = {"asset_id": f"stall:{number}", "part": "owner", "organisation": "firm-a"}
        try:
            await database.write(
                lambda c: c.execute(insert(asset_party).values(**row)),
                book.room("firm-a", "assets_max"),
            )
        except RefuseInput as error:
            return str(error)
        return "made"

    answers = await asyncio.gather(*(add(number) for number in range(6)))
    assert sorted(answers) == sorted(["made"] * 3 + ["quota_reached: assets_max: at most 3"] * 3)
    assert (await book.progress(one)).used["assets_max"] == 3
    second.close()
    stranger = {"asset_id": "stall:9", "part": "owner", "organisation": "nobody"}
    with pytest.raises(RefuseInput, match="quota_reached"):
        database.write_now(
            lambda c: c.execute(insert(asset_party).values(**stranger)),
            book.room("nobody", "assets_max"),
        )


async def test_progress_tells_of_each_first_step(
    book: OrganisationBook, database: Database
) -> None:
    one, _ = await book.put("firm-a", firm_details(1), by=ROOT)
    assert set((await book.progress(one)).done().values()) == {False}
    _member(database, "firm-a", "one")
    _member(database, "firm-a", "two")
    party = {"asset_id": "stall:1", "part": "owner", "organisation": "firm-a"}
    database.write_now(lambda c: c.execute(insert(asset_party).values(**party)))
    one = await book.set_contact("firm-a", Contact(name="a", phone="12345"), scope=EVERYTHING)
    progress = await book.progress(one)
    assert progress.used == {"assets_max": 1, "accounts_max": 2, "keys_max": 2, "devices_max": 2}
    assert set(progress.done().values()) == {True}


async def test_database_refuses_a_second_open_organisation_with_a_code(
    book: OrganisationBook, database: Database
) -> None:
    one, _ = await book.put("firm-a", firm_details(1), by=ROOT)
    query = select(organisation).where(organisation.c.id == one.id)
    row = database.read_now(lambda c: c.execute(query).mappings().one())
    with pytest.raises(Exception, match=r"(?i)unique"):
        database.write_now(
            lambda c: c.execute(insert(organisation).values({**dict(row), "id": "firm-b"}))
        )
    assert msgspec.json.decode(row["districts"]) == [DISTRICT]
