"""Open data as everybody gets them: CSV, JSON, pages, caches, and never a name or an id."""

import csv
import io
import random
from typing import Any

import httpx
import pytest
from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, insert

from cloud.model.data_rule import DAY_MS, SUPPRESSED_BELOW
from cloud.model.load_data_rules import METADATA
from tests.support.http_services import World
from tests.support.retention import shipped_rules

FILES = [f"/open/{kind}.{form}" for kind in shipped_rules().open() for form in ("csv", "json")]
ROWS = 80
PUBLISHED = {
    ("asset", "district"): ("昌邑区", "船营区", "=cmd|'/c calc'!A1"),
    ("asset", "kind"): ("elevator", "cylinder"),
    ("alarm", "alert"): ("Entrapment", "DoorOpen"),
    ("incident", "source"): ("alarm", "call"),
    ("incident", "state"): ("closed", "false_alarm"),
}
"""What the rules let out as it is; every other text is a word that occurs nowhere else."""
NAMES = {
    ("alarm", "asset"): ("asset", "asset_id"),
    ("incident", "asset"): ("asset", "asset_id"),
    ("asset_gateway", "asset_id"): ("asset", "asset_id"),
    ("asset_gateway", "gateway_id"): ("gateway", "gateway_id"),
}


class Secrets:
    """Rows for every table of the state, and every word in them that must not leave."""

    def __init__(self, seed: int, now_ms: int) -> None:
        self._rng, self._now_ms = random.Random(seed), now_ms
        self._words: dict[tuple[str, str], list[str]] = {}
        self._moments: list[int] = []

    def put_into(self, world: World) -> None:
        """Fill all tables."""
        with world.database.engine.begin() as connection:
            for table in METADATA["state"].sorted_tables:
                if table.name not in ("token", "secret"):  # those of the application under test
                    rows = [
                        {one.name: self._value(table.name, one, n) for one in table.c}
                        for n in range(1, ROWS)
                    ]
                    connection.execute(insert(table), rows)

    def words(self) -> set[bytes]:
        """Return what must not be told: ids, names, notes, moments."""
        words = {word for several in self._words.values() for word in several}
        return {word.encode() for word in words} | {b"%d" % at for at in self._moments}

    def _value(self, table: str, column: Column[Any], number: int) -> Any:
        place = (table, column.name)
        if place in PUBLISHED:
            return self._rng.choice(PUBLISHED[place])
        if place in (("alarm", "open"), ("incident", "open")):
            return None
        if place in NAMES:
            known = self._words.setdefault(NAMES[place], self._made(ROWS - 1))
            return known[number - 1] if column.name != "asset" else self._rng.choice(known)
        if column.name.endswith("_at"):
            self._moments.append(self._now_ms - self._rng.randrange(1, 3 * DAY_MS))
            return self._moments[-1]
        if isinstance(column.type, Boolean):
            return self._rng.random() < 0.5
        if isinstance(column.type, Integer):
            return number
        if isinstance(column.type, Float):
            return self._rng.random()
        if isinstance(column.type, LargeBinary):
            return self._rng.randbytes(6)
        made = self._words.setdefault(place, self._made(ROWS - 1))
        return made[number - 1]

    def _made(self, count: int) -> list[str]:
        return [f"w{self._rng.randbytes(6).hex()}" for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
async def test_no_name_id_or_moment_is_in_any_byte_of_open_data(
    world: World, nobody: httpx.AsyncClient, seed: int
) -> None:
    secrets = Secrets(seed, world.clock.wall_ms())
    secrets.put_into(world)
    words = secrets.words()
    assert len(words) > 5_000
    for path in FILES:
        answer = await nobody.get(path)
        assert answer.status_code == 200
        assert len(answer.content.splitlines()) > 3 or answer.json()["rows"]
        told = answer.content + repr(answer.headers).encode()
        assert [word for word in words if word in told] == []


async def test_no_cell_counts_fewer_than_the_bound(world: World, nobody: httpx.AsyncClient) -> None:
    Secrets(7, world.clock.wall_ms()).put_into(world)
    for path in FILES:
        if path.endswith(".json"):
            table = (await nobody.get(path)).json()
            count = table["columns"].index("count")
            assert table["suppressed_below"] == SUPPRESSED_BELOW == 3
            assert min(row[count] for row in table["rows"]) >= 3


async def test_csv_and_json_say_the_same_and_no_cell_is_a_formula(
    world: World, nobody: httpx.AsyncClient
) -> None:
    Secrets(3, world.clock.wall_ms()).put_into(world)
    for path in FILES:
        if path.endswith(".json"):
            table = (await nobody.get(path)).json()
            text = (await nobody.get(path.replace(".json", ".csv"))).text
            head, *rows = csv.reader(io.StringIO(text))
            assert head == table["columns"]
            assert rows == [[_as_csv(value) for value in row] for row in table["rows"]]
            assert "=cmd" not in {value[:4] for row in rows for value in row}


def _as_csv(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith("=") else text


async def test_an_answer_says_its_licence_and_date_and_may_be_kept(
    world: World, nobody: httpx.AsyncClient
) -> None:
    Secrets(1, world.clock.wall_ms()).put_into(world)
    first = await nobody.get("/open/assets.csv")
    assert first.headers["content-type"].startswith("text/csv")
    assert first.headers["cache-control"] == "public, max-age=300"
    assert first.headers["last-modified"].endswith("GMT")
    assert 'rel="license"' in first.headers["link"]
    assert first.headers["content-disposition"].startswith('attachment; filename="assets-2025-')
    tag = first.headers["etag"]
    again = await nobody.get("/open/assets.csv", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await nobody.get("/open/assets.csv", headers={"If-None-Match": '"x"'})
    assert other.content == first.content
    table = (await nobody.get("/open/assets.json")).json()
    assert table["licence"] == "CC BY 4.0"
    assert table["made_at"].startswith("2025-")


async def test_pages_follow_one_another_without_a_gap(
    world: World, nobody: httpx.AsyncClient
) -> None:
    Secrets(2, world.clock.wall_ms()).put_into(world)
    whole = (await nobody.get("/open/alarms.json")).json()
    path, rows = "/open/alarms.json?limit=2", []
    while path:
        answer = await nobody.get(path)
        rows += answer.json()["rows"]
        following = answer.links.get("next", {"url": ""})
        path = following["url"]
    assert rows == whole["rows"]
    assert len(rows) == whole["total"] > 4


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/open/scans.csv", 404),
        ("/open/alarms.xml", 404),
        ("/open/..%2fstate.csv", 404),
        ("/open/alarms.csv?limit=10001", 400),
        ("/open/alarms.csv?after=-1", 400),
        ("/open/alarms.csv?asset=elevator:1", 400),
    ],
)
async def test_other_paths_and_questions_are_refused(
    nobody: httpx.AsyncClient, path: str, status: int
) -> None:
    assert (await nobody.get(path)).status_code == status


async def test_rules_with_their_terms_and_runs_are_told_to_who_may_see_them(
    world: World, nobody: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    told = (await client.get("/api/v1/data-rules")).json()
    scan = next(rule for rule in told["rules"] if rule["id"] == "scan")
    assert [step["days"] for step in scan["step"]] == [800, 731]
    assert told["runs"] == []
