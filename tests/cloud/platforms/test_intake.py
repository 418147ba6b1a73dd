"""What a platform sends, item by item: taken once, refused with a reason, nothing lost."""

from typing import Any, cast

import httpx
import msgspec
import pytest
from sqlalchemy import select

from cloud.model.platform_tables import lift_platform_inbox
from protocols.clock import ManualClock, iso
from protocols.envelope import decode_records
from protocols.records import Readings
from tests.support.http_services import World
from tests.support.platforms import BASE, CODE, LIFT, Intake, message, register, status, token_of

HOUR_MS = 3600 * 1000


class Sender:
    """One platform with its token."""

    def __init__(self, client: httpx.AsyncClient, world: World, headers: dict[str, str]) -> None:
        self.client, self.world, self.headers = client, world, headers

    async def send(self, kind: str, *items: object, **more: object) -> list[dict[str, Any]]:
        """Send items; return the word on each."""
        body = {"items": list(items), **more}
        path = f"{BASE}/acme/{kind}"
        answer = await self.client.put(path, json=body, headers=self.headers)
        assert answer.status_code == 200, answer.text
        told: list[dict[str, Any]] = answer.json()["items"]
        return told

    async def outcomes(self, kind: str, *items: object, **more: object) -> list[str]:
        """Send items; return outcome or reason of each."""
        return [
            one.get("reason") or one["outcome"] for one in await self.send(kind, *items, **more)
        ]

    def logged(self, stream: str) -> list[Readings]:
        """Return the records on their way to the log."""
        query = select(lift_platform_inbox.c.records).order_by(lift_platform_inbox.c.seq)
        query = query.where(lift_platform_inbox.c.stream == stream)
        rows = self.world.database.read_now(lambda c: c.execute(query).scalars().all())
        found = [record for raw in rows for record in decode_records(bytes(raw))[0]]
        return cast("list[Readings]", found)

    def lists(self) -> list[tuple[int, list[str]]]:
        """Return the lists of codes, with their moments less the clock's."""
        now_ms = self.world.clock.wall_ms()
        return [
            (one.at[0] - now_ms, cast("list[str]", one.values["message_code"][0]))
            for stream in ("alarm", "data")
            for one in self.logged(stream)
            if "message_code" in one.values
        ]

    @property
    def dead(self) -> list[str]:
        """Return the reasons of the dead letters."""
        return [one.reason for one in cast("Intake", self.world.services.intake).dead]


@pytest.fixture
async def sender(client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World) -> Sender:
    return Sender(nobody, world, await token_of(nobody, await register(client)))


async def test_status_goes_on_in_canonical_words(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    (told,) = await sender.send("status", status(now_ms - 5))
    assert told == {"index": 0, "outcome": "taken"}
    (record,) = sender.logged("data")
    assert (record.asset, record.at) == (LIFT, [now_ms - 5])
    assert record.values == {
        "service_mode": ["normal"],
        "car_status": ["stopped"],
        "door_status": [True],
        "passenger_status": [False],
        "message_code": [[]],
        "fault_code": [""],
    }
    assert sender.logged("alarm") == []


async def test_emergency_goes_ahead_in_stream_alarm_with_its_raw_code(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    await sender.send("status", status(now_ms, 11, "02"))
    (record,) = sender.logged("alarm")
    assert record.values["message_code"] == [["entrapment", "02"]]
    assert record.values["fault_code"] == ["11, 02"]


async def test_item_that_comes_again_does_nothing(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    items = [status(now_ms), message(now_ms, "90"), status(now_ms)]
    assert await sender.outcomes("status", items[0], items[2]) == ["taken", "duplicate"]
    assert await sender.outcomes("messages", items[1]) == ["taken"]
    for _ in range(2):
        assert await sender.outcomes("status", items[0]) == ["duplicate"]
        assert await sender.outcomes("messages", items[1]) == ["duplicate"]
    assert len(sender.logged("alarm") + sender.logged("data")) == 2


async def test_item_id_tells_items_apart_and_is_no_other_items(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    first, again = status(now_ms, item_id="a"), status(now_ms, item_id="b")
    other, alarm = status(now_ms, "02", item_id="a"), status(now_ms, "90", item_id="a")
    assert await sender.outcomes("status", first, again, first) == ["taken", "taken", "duplicate"]
    assert await sender.outcomes("status", other, alarm) == ["item_id_reused", "taken"]
    assert sender.dead == ["item_id_reused"]


async def test_messages_add_up_to_what_stands(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    await sender.send(
        "messages",
        message(now_ms - 9000, "02"),
        message(now_ms - 8000, "41"),
        message(now_ms - 7000, "02", state="end"),
        message(now_ms - 6000, "43"),
        message(now_ms - 5000, "40"),
        message(now_ms - 4000, 0),
    )
    assert sender.lists() == [
        (-9000, ["02"]),
        (-8000, ["02", "41"]),
        (-7000, ["41"]),
        (-6000, ["41", "43"]),
        (-5000, ["41", "40"]),
        (-4000, []),
    ]


async def test_messages_in_any_order_end_in_the_same(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    await sender.send("messages", message(now_ms - 5000, "02", state="end"))
    await sender.send("messages", message(now_ms - 9000, "02"), message(now_ms - 7000, "03"))
    assert sender.lists()[-1] == (-4999, ["03"])


async def test_emergency_that_was_overtaken_by_its_end_is_raised_all_the_same(
    sender: Sender,
) -> None:
    now_ms = sender.world.clock.wall_ms()
    await sender.send("status", status(now_ms - 1000, 0))
    await sender.send("messages", message(now_ms - 2000, "90"))
    assert sender.lists()[:2] == [(-999, ["90"]), (-998, [])]
    await sender.send("messages", message(now_ms - HOUR_MS, "90"))
    assert sender.lists()[2] == (-HOUR_MS, ["90"])


async def test_older_list_changes_nothing_of_what_is_newer(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    await sender.send("status", status(now_ms - 1000, "03"))
    await sender.send("status", status(now_ms - 2000, "02"))
    await sender.send("messages", message(now_ms - 500, "41"))
    assert sender.lists() == [(-1000, ["03"]), (-2000, ["02"]), (-500, ["03", "41"])]


async def test_unknown_code_is_kept_raw_counted_and_seen(
    sender: Sender, client: httpx.AsyncClient
) -> None:
    now_ms = sender.world.clock.wall_ms()
    (told,) = await sender.send("status", status(now_ms, "77", "90", weather="fine"))
    assert told["reason"] == "bad_item"  # no such key of an item
    item = status(now_ms, "77", 90)
    item["values"]["weather"] = "fine"
    (told,) = await sender.send("status", item)
    assert (told["unknown_codes"], told["unknown_fields"]) == (["77"], ["weather"])
    await sender.send("messages", message(now_ms, 77))
    (record, _) = sender.logged("alarm")
    assert record.values["message_code"] == [["unknown_code", "90"]]
    assert record.values["fault_code"] == ["77, 90"]
    seen = {(one["what"], one["raw"]): one for one in (await _unknown(client))}
    assert {key: one["count"] for key, one in seen.items()} == {
        ("code", "77"): 2,
        ("field", "weather"): 1,
    }
    assert seen["code", "77"]["asset"] == LIFT
    assert (seen["code", "77"]["dialect"], seen["code", "77"]["version"]) == (
        "special-equipment",
        "1",
    )
    assert "77" in seen["code", "77"]["sample"]


async def _unknown(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/api/v1/dialects/unknown")).json()
    return found


async def test_clock_that_is_far_ahead_costs_data_but_no_emergency(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    ahead = now_ms + 25 * HOUR_MS
    calm, alarm = status(ahead), status(ahead, 11)
    broken = {**message(now_ms, "90"), "time_stamps": "soon"}
    assert await sender.outcomes("status", calm, status(0)) == ["time_out_of_range"] * 2
    (told,) = await sender.send("status", alarm)
    assert (told["outcome"], told["placed"]) == ("taken", True)
    (told,) = await sender.send("messages", broken)
    assert (told["outcome"], told["placed"]) == ("taken", True)
    first, second = sender.logged("alarm")
    assert first.at == second.at == [now_ms]
    assert first.quality == {"fault_code": ["time_unknown"]}
    assert sender.dead == ["time_out_of_range"] * 2


@pytest.mark.parametrize("off_h", [-8, 8, 0])
async def test_clock_that_is_hours_off_is_measured(
    sender: Sender, client: httpx.AsyncClient, off_h: int
) -> None:
    clock = cast("ManualClock", sender.world.clock)
    for number in range(6):
        clock.advance(1000)
        at = clock.wall_ms() - off_h * HOUR_MS
        more = {"sent_at": iso(at)} if number % 2 else {}
        await sender.send("status", status(at - (0 if not more else 700_000)), **more)
    offset = (await client.get(f"{BASE}/acme")).json()["clock_offset"]
    assert offset == {
        "median_ms": off_h * HOUR_MS,
        "spread_ms": 0,
        "constant": True,
        "samples": 6,
    }


async def test_backlog_is_no_clock_that_is_off(sender: Sender, client: httpx.AsyncClient) -> None:
    now_ms = sender.world.clock.wall_ms()
    for number in range(9):
        await sender.send("status", status(now_ms - number * HOUR_MS))
    offset = (await client.get(f"{BASE}/acme")).json()["clock_offset"]
    assert not offset["constant"]


async def test_times_without_a_zone_are_the_dialects(sender: Sender) -> None:
    now_ms = 1_763_996_400_000 + 3000  # 2025-11-24 15:00:03 UTC
    items = [
        {**status(now_ms, "02", item_id=str(number)), "time_stamps": text}
        for number, text in enumerate(
            ("2025-11-24 23:00:03", "20251124230003", now_ms, "2025-11-24T15:00:03Z")
        )
    ]
    assert await sender.outcomes("status", *items) == ["taken"] * 4
    assert {record.at[0] for record in sender.logged("alarm")} == {now_ms}


async def test_another_firms_lift_is_set_aside_with_a_finding(sender: Sender) -> None:
    world = sender.world
    now_ms = world.clock.wall_ms()

    async def put(gateways: list[str], **parties: str) -> None:
        await world.registry.put(
            LIFT, kind="elevator", name="", gateways=gateways, attributes={}, parties=parties
        )

    await put([], maintenance="firm-b")
    assert await sender.outcomes("status", status(now_ms, "90")) == ["foreign_platform"]
    await put([], owner="firm-b", maintenance="firm-a")
    assert await sender.outcomes("status", status(now_ms, "90")) == ["taken"]
    await put(["gw-1"], maintenance="firm-a")
    assert await sender.outcomes("status", status(now_ms, "91")) == ["foreign_gateway"]
    await put(["gw-1", "platform-acme"], maintenance="firm-a")
    assert await sender.outcomes("status", status(now_ms, "91")) == ["taken"]
    asset = await world.registry.get(LIFT)
    assert asset is not None
    assert {one.reason for one in asset.findings} == {"foreign_platform", "foreign_gateway"}
    assert sender.dead == ["foreign_platform", "foreign_gateway"]


BAD: list[Any] = [
    1,
    None,
    "x",
    [],
    {},
    {"registration_code": CODE},
    {"registration_code": "a b", "time_stamps": 1},
    {"registration_code": "x" * 65, "time_stamps": 1},
    {"registration_code": CODE, "time_stamps": {}},
    {"registration_code": CODE, "time_stamps": 1, "values": []},
    {"registration_code": CODE, "time_stamps": 1, "values": {"car_status": [1]}},
    {"registration_code": CODE, "time_stamps": 1, "values": {"car_status": {"a": 1}}},
    {"registration_code": CODE, "time_stamps": 1, "message_code": "90"},
    {"registration_code": CODE, "time_stamps": 1, "message_code": [90.5]},
    {"registration_code": CODE, "time_stamps": 1, "message_code": [True]},
    {"registration_code": CODE, "time_stamps": 1, "message_code": [["90"]]},
    {"registration_code": CODE, "time_stamps": 1, "message_code": ["90"] * 65},
    {"registration_code": CODE, "time_stamps": 1, "message_code": [2**60]},
    {"registration_code": CODE, "time_stamps": 1, "values": {"a": "x" * 65}},
    {"registration_code": CODE, "time_stamps": "2026-01-01"},
]


async def test_bad_items_spoil_no_good_one(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    outcomes = await sender.outcomes("status", *BAD, status(now_ms, "90"))
    assert outcomes == ["bad_item"] * len(BAD) + ["taken"]
    assert len(sender.dead) == len(BAD)
    assert len(sender.logged("alarm")) == 1


@pytest.mark.parametrize(
    ("body", "status_code"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"items":[]}', 400),
        (b'{"items":{}}', 400),
        (b'{"items":[1],"more":1}', 400),
        (b'{"items":[' + b"1," * 500 + b"1]}", 400),
        (b'{"items":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}", 400),
        (b'{"items":["' + b"x" * 1_100_000 + b'"]}', 413),
        (b"\xff\xfe", 400),
    ],
)
async def test_request_that_is_none_is_refused_whole(
    sender: Sender, body: bytes, status_code: int
) -> None:
    path = f"{BASE}/acme/status"
    answer = await sender.client.post(path, content=body, headers=sender.headers)
    assert answer.status_code == status_code


async def test_platform_speaks_for_itself_alone(
    sender: Sender, client: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    await register(client, "other", organisation="firm-b")
    body = {"items": [status(sender.world.clock.wall_ms())]}
    for path, headers, expected in (
        (f"{BASE}/other/status", sender.headers, 404),
        (f"{BASE}/nobody/status", sender.headers, 404),
        (f"{BASE}/acme/nothing", sender.headers, 404),
        (f"{BASE}/acme/status", {"Authorization": "Bearer pt_wrong"}, 401),
        (f"{BASE}/acme/status", {}, 401),
    ):
        answer = await nobody.post(path, json=body, headers=headers)
        assert answer.status_code == expected, path
    assert (await client.post(f"{BASE}/acme/status", json=body)).status_code == 403


async def test_declared_file_of_a_lift_is_kept_newest_first(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()

    def basic(at: int, operation: str, **fields: object) -> dict[str, object]:
        return {
            "registration_code": CODE,
            "time_stamps": iso(at),
            "operation": operation,
            "basic": fields,
        }

    await sender.send("basic", basic(now_ms - 9000, "UPLOAD", model="A", floors=9))
    await sender.send("basic", basic(now_ms - 5000, "UPDATE", model="B"))
    await sender.send("basic", basic(now_ms - 7000, "UPDATE", model="C"))
    outcomes = await sender.outcomes("basic", basic(now_ms, "BURN"), basic(now_ms, "UPDATE", x=1))
    assert outcomes == ["bad_item"] * 2
    found = await sender.world.services.platforms.declared("acme", LIFT)
    assert found == ("UPDATE", {"model": "B", "floors": 9})


async def test_statistics_are_readings(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    item = {
        "registration_code": CODE,
        "time_stamps": now_ms,
        "values": {"total_running_time": 12.5, "present_counter_value": 8000},
    }
    assert await sender.outcomes("statistics", item) == ["taken"]
    (record,) = sender.logged("data")
    assert record.values == {"total_running_time": [12.5], "present_counter_value": [8000]}


async def test_large_request_is_cut_into_envelopes(sender: Sender) -> None:
    now_ms = sender.world.clock.wall_ms()
    items = [status(now_ms - number, "02") for number in range(500)]
    assert set(await sender.outcomes("status", *items)) == {"taken"}
    query = select(lift_platform_inbox.c.seq, lift_platform_inbox.c.records)
    rows = sender.world.database.read_now(lambda c: c.execute(query).all())
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert max(len(row.records) for row in rows) <= 200 * 1024
    assert len(sender.logged("alarm")) == 500


async def test_platform_without_its_dialect_loses_no_code(
    sender: Sender, client: httpx.AsyncClient
) -> None:
    known = cast("dict[Any, Any]", sender.world.services.platforms.dialects)
    gone = known.pop(("special-equipment", "1"))
    now_ms = sender.world.clock.wall_ms()
    assert await sender.outcomes("status", status(now_ms, "90")) == ["taken"]
    (record,) = sender.logged("alarm")
    assert record.values["message_code"] == [["unknown_code"]]
    assert record.values["fault_code"] == ["90"]
    assert not (await client.get(f"{BASE}/acme")).json()["dialect_known"]
    known["special-equipment", "1"] = gone


async def test_account_adds_up(sender: Sender, client: httpx.AsyncClient) -> None:
    now_ms = sender.world.clock.wall_ms()
    await sender.send("status", status(now_ms), status(now_ms), {})
    told = (await client.get(f"{BASE}/acme")).json()
    assert (told["taken"], told["duplicate"], told["refused"]) == (1, 1, 1)
    assert (told["lifts"], told["waiting"]) == (1, 1)
    assert told["heard_at"] == iso(now_ms)
    assert told["last_refusal"].startswith("bad_item")
    assert "secret" not in msgspec.json.encode(told).decode().replace("secret_at", "")
