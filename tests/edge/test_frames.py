from collections.abc import Sequence

import msgspec

from edge.batches import Draft
from edge.frames import ALARM_GAP_MS, BATCH_BYTES, COMMIT_BYTES, GROUP_MS, GROUP_SLOW_MS, Collector
from edge.sources.base import Sample
from edge.timekeeper import Timekeeper
from protocols.clock import ManualClock
from protocols.envelope import decode_records
from protocols.limits import ENVELOPE_BYTES_MAX
from protocols.readings import Quality, Value
from protocols.records import Readings, Record, Status
from protocols.topics import Stream

NOW = 1_764_000_000_000


class Rig:
    def __init__(self, wall_ms: int = NOW) -> None:
        self.clock = ManualClock(wall_ms, 5_000)
        self.keeper = Timekeeper(self.clock)
        self.changes = 0
        self.collector = Collector(self.clock, self.keeper, boot_id="boot-1", changed=self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def say(
        self,
        values: dict[str, Value],
        *,
        asset: str = "elevator:1",
        stream: Stream = "data",
        quality: dict[str, Quality] | None = None,
    ) -> None:
        self.collector.add(
            Sample(
                asset=asset,
                at_boot_ms=self.clock.boot_ms(),
                stream=stream,
                values=values,
                quality=quality or {},
            )
        )

    def take_when_due(self) -> tuple[int, list[Draft]]:
        """Move time on to when something is due; return how long that took, and the drafts."""
        due_ms = self.collector.due_ms()
        assert due_ms is not None
        waited = max(0, due_ms - self.clock.boot_ms())
        if waited:
            assert self.collector.take() == []
        self.clock.advance(waited)
        return waited, self.collector.take()


def records(drafts: Sequence[Draft]) -> list[Record]:
    found: list[Record] = []
    for draft in drafts:
        good, refused = decode_records(draft.records_raw)
        assert not refused
        assert len(good) == draft.records
        found += good
    return found


def test_samples_of_one_asset_become_columns() -> None:
    rig = Rig()
    rig.say({"car_position": 3, "speed": 1.5})
    rig.clock.advance(100)
    rig.say({"car_position": None, "speed": 1.6}, quality={"car_position": "no_value"})
    rig.say({"car_position": 9, "speed": 0.0}, asset="elevator:2")
    drafts = rig.collector.take(everything=True)
    first, second = records(drafts)
    assert isinstance(first, Readings)
    assert first.at == [NOW, NOW + 100]
    assert first.values == {"car_position": [3, None], "speed": [1.5, 1.6]}
    assert first.quality == {"car_position": ["good", "no_value"]}
    assert isinstance(second, Readings)
    assert second.asset == "elevator:2"
    assert (drafts[0].from_at, drafts[0].to_at, drafts[0].clock) == (NOW, NOW + 100, "synced")
    assert rig.collector.due_ms() is None
    assert rig.changes == 3


def test_other_points_make_another_record_so_that_order_is_kept() -> None:
    rig = Rig()
    for values in ({"a": 1}, {"a": 2}, {"a": 3, "b": 1}, {"a": 4}):
        rig.say(dict(values))
        rig.clock.advance(1)
    found = [one.values for one in records(rig.collector.take(everything=True))]  # type: ignore[union-attr]
    assert found == [{"a": [1, 2]}, {"a": [3], "b": [1]}, {"a": [4]}]


def test_data_is_grouped_for_a_second_and_alarm_goes_at_once() -> None:
    rig = Rig()
    rig.say({"a": 1})
    assert rig.take_when_due()[0] == GROUP_MS
    rig.say({"a": 1})
    rig.say({"message_code": ["90"]}, stream="alarm")
    waited, drafts = rig.take_when_due()
    assert (waited, [draft.stream for draft in drafts]) == (0, ["alarm"])
    waited, drafts = rig.take_when_due()
    assert (waited, [draft.stream for draft in drafts]) == (GROUP_MS, ["data"])


def test_storm_of_alarms_is_committed_together() -> None:
    rig = Rig()
    rig.say({"message_code": ["90"]}, stream="alarm")
    assert rig.take_when_due()[0] == 0
    rig.clock.advance(1)
    for number in range(20):
        rig.say({"message_code": ["90"]}, asset=f"elevator:{number}", stream="alarm")
    waited, (draft,) = rig.take_when_due()
    assert (waited, draft.records) == (ALARM_GAP_MS - 1, 20)
    rig.clock.advance(ALARM_GAP_MS)
    rig.say({"message_code": []}, stream="alarm")
    assert rig.take_when_due()[0] == 0


def test_little_data_is_grouped_longer_after_a_while() -> None:
    rig = Rig()
    waits = []
    for _ in range(80):
        rig.say({"a": 1})
        waits.append(rig.take_when_due()[0])
    assert waits[0] == GROUP_MS
    assert waits[-1] == GROUP_SLOW_MS
    hours = 200
    rig.clock.advance(hours * 1000)
    rig.say({"a": 1})
    assert rig.take_when_due()[0] == GROUP_MS  # quick again after a quiet time


def test_much_data_is_grouped_for_a_second_always() -> None:
    rig = Rig()
    for _ in range(100):
        for asset in range(10):
            rig.say({"a": 1, "b": 2}, asset=f"elevator:{asset}")
        assert rig.take_when_due()[0] == GROUP_MS


def test_full_batches_wait_encoded_for_their_group_and_sizes_are_bounded() -> None:
    rig = Rig()
    text = "x" * 900
    for number in range(400):
        rig.say({"a": text, "b": number}, asset=f"elevator:{number % 3}")
    for number in range(400, 2_400):
        rig.say({"a": "", "b": number}, asset=f"elevator:{number}")
    waited, drafts = rig.take_when_due()
    assert waited == GROUP_MS
    assert len(drafts) >= 5
    assert all(len(draft.records_raw) <= 1.2 * BATCH_BYTES for draft in drafts)
    values = [value for one in records(drafts) for value in one.values["b"]]  # type: ignore[union-attr]
    assert sorted(values) == list(range(2_400))  # type: ignore[type-var]
    assert rig.changes < 100  # whoever waits is told only of what may change the time


def test_a_flood_does_not_wait_for_its_group() -> None:
    rig = Rig()
    said = 0
    while (due_ms := rig.collector.due_ms()) is None or due_ms > rig.clock.boot_ms():
        rig.say({"a": said}, asset=f"elevator:{said}")
        said += 1
    drafts = rig.collector.take()
    assert sum(len(draft.records_raw) for draft in drafts) < 1.2 * COMMIT_BYTES
    assert sum(len(one.values["a"]) for one in records(drafts)) == said  # type: ignore[union-attr, misc]
    assert rig.collector.due_ms() is None


def test_record_that_fits_no_envelope_is_refused_and_counted() -> None:
    rig = Rig()
    rig.say({"a": "x" * ENVELOPE_BYTES_MAX})
    rig.say({"b": 1})
    drafts = rig.collector.take(everything=True)
    assert len(records(drafts)) == 1
    assert rig.collector.counters["records_refused"] == 1


def test_clock_found_meanwhile_counts_for_all_that_waits() -> None:
    rig = Rig(wall_ms=0)
    rig.say({"a": 1})
    rig.clock.advance(100)
    rig.keeper.heard(NOW)
    rig.say({"a": 2})
    (draft,) = rig.collector.take(everything=True)
    (record,) = records([draft])
    assert isinstance(record, Readings)
    assert record.at == [NOW - 100, NOW]
    assert draft.clock == "synced"


def test_without_a_clock_times_are_since_boot() -> None:
    rig = Rig(wall_ms=0)
    rig.say({"a": 1})
    (draft,) = rig.collector.take(everything=True)
    assert draft.clock == "free"
    assert draft.from_at == 5_000


def test_other_records_get_their_time() -> None:
    rig = Rig()
    rig.collector.add_record("data", 5_000, lambda at: Status(at=at, uptime_s=1))
    (record,) = records(rig.collector.take(everything=True))
    assert record == Status(at=NOW, uptime_s=1)


def test_nothing_to_take() -> None:
    rig = Rig()
    rig.collector.add(Sample(asset="elevator:1", at_boot_ms=1, stream="data", values={}))
    assert rig.collector.due_ms() is None
    assert rig.collector.take(everything=True) == []
    assert msgspec.json.encode(rig.collector.counters)
