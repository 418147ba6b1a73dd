"""What every kind of tag reader does: each visit of a tag once, never another tag's identity."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.reader_harnesses import HARNESSES
from tests.support.readers import Harness, Watched, watching, whole

TOLD_S = 3.0
BACK_S = 5.0


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    kind = HARNESSES[request.param]
    if (missing := kind.missing()) is not None:
        pytest.skip(missing)
    one = kind.make(tmp_path)
    yield one
    one.close()


@pytest.fixture
async def watched(harness: Harness) -> AsyncIterator[Watched]:
    async with watching(harness) as one:
        await one.until(lambda: one.up, within_s=BACK_S, what="open")
        yield one


async def told_whole(harness: Harness, watched: Watched, number: int, count: int = 1) -> None:
    """Wait until the last of `count` scans tells all of a tag."""
    expected = whole(harness.told(number))

    def told() -> bool:
        scans = watched.scans
        return len(scans) >= count and (scans[-1].codes, scans[-1].findings) == (expected, ())

    await watched.until(told, within_s=BACK_S, what=f"tag {number} told")
    assert len(watched.scans) == count


async def test_a_tag_that_comes_stays_leaves_and_comes_back_is_told_twice(
    harness: Harness, watched: Watched
) -> None:
    harness.bring(1)
    await told_whole(harness, watched, 1)
    await watched.quiet(watched.away_s + 0.3)
    await asyncio.to_thread(harness.take_away)
    await asyncio.sleep(1.2 * watched.away_s)
    harness.bring(1)
    await told_whole(harness, watched, 1, 2)


async def test_a_tag_that_left_is_told_to_be_gone_and_so_is_everything_at_a_reader_that_breaks(
    harness: Harness, watched: Watched
) -> None:
    harness.bring(1)
    await told_whole(harness, watched, 1)
    key = watched.scans[0].key
    await asyncio.sleep(0.3)
    assert watched.gone == []
    await asyncio.to_thread(harness.take_away)
    within_s = watched.away_s + 2.0
    await watched.until(lambda: bool(watched.gone), within_s=within_s, what="told to be gone")
    assert [one.key for one in watched.gone] == [key]
    await asyncio.to_thread(harness.unplug)
    await watched.until(lambda: len(watched.gone) > 1, within_s=BACK_S, what="reader gone")
    assert watched.gone[1].key is None


async def test_each_kind_of_tag_is_told_whole(harness: Harness, watched: Watched) -> None:
    for number in (2, 3):  # 0 and 1 are told in other tests
        harness.bring(number)
        await told_whole(harness, watched, number, len(watched.scans) + 1)
        await asyncio.to_thread(harness.take_away)


async def test_a_tag_torn_away_is_a_finding_and_whole_when_it_comes_back(
    harness: Harness, watched: Watched
) -> None:
    await asyncio.to_thread(harness.tear, 2)
    await asyncio.sleep(0.5)
    own = harness.told(2).key
    for scan in watched.scans:
        assert scan.codes[0].value == own.hex()
        assert scan.codes[1:] == ()
        assert scan.findings == ("incomplete_read",)
    count = len(watched.scans)
    assert count <= 1
    harness.bring(2)
    await told_whole(harness, watched, 2, count + 1)


async def test_two_tags_at_once_are_never_mixed(harness: Harness, watched: Watched) -> None:
    await asyncio.to_thread(harness.two_at_once, 0, 1)
    own = {harness.told(number).key.hex(): whole(harness.told(number)) for number in (0, 1)}

    def second_told() -> bool:
        return any(scan.codes == whole(harness.told(1)) for scan in watched.scans)

    await watched.until(second_told, within_s=BACK_S, what="the second one told")
    for scan in watched.scans:
        expected = own[scan.codes[0].value]
        assert scan.codes == expected or (scan.codes == expected[:1] and scan.findings)


async def test_unplugged_and_plugged_in_it_is_back_and_the_tag_that_stayed_not_told_again(
    harness: Harness, watched: Watched
) -> None:
    harness.bring(1)
    await told_whole(harness, watched, 1)
    await asyncio.to_thread(harness.unplug)
    await watched.until(lambda: not watched.up, within_s=BACK_S, what="seen to be gone")
    await asyncio.sleep(1.2 * watched.away_s)
    await asyncio.to_thread(harness.plug_in)
    await watched.until(lambda: watched.up, within_s=BACK_S, what="back")
    await watched.quiet(watched.away_s + 0.3)


async def test_after_a_restart_of_the_daemon_it_is_back_and_another_tag_is_told(
    harness: Harness, watched: Watched
) -> None:
    harness.bring(1)
    await told_whole(harness, watched, 1)
    opens = watched.source.status()["counters"]["device_opens"]

    def anew() -> bool:
        return watched.up and bool(watched.source.status()["counters"]["device_opens"] > opens)

    await asyncio.to_thread(harness.restart_daemon)
    await watched.until(anew, within_s=BACK_S, what="back")
    await watched.quiet(watched.away_s + 0.3)
    await asyncio.to_thread(harness.take_away)
    harness.bring(0)
    await told_whole(harness, watched, 0, 2)


async def test_a_tag_that_left_during_an_outage_and_comes_back_later_is_told_again(
    harness: Harness, watched: Watched
) -> None:
    harness.bring(1)
    await told_whole(harness, watched, 1)
    await asyncio.to_thread(harness.unplug)
    await asyncio.to_thread(harness.take_away)
    await asyncio.to_thread(harness.plug_in)
    await watched.until(lambda: watched.up, within_s=BACK_S, what="back")
    await asyncio.sleep(1.2 + watched.away_s)
    harness.bring(1)
    await told_whole(harness, watched, 1, 2)


async def test_garbled_answers_are_counted_and_tell_nothing(
    harness: Harness, watched: Watched
) -> None:
    before = watched.dropped()
    harness.spoil(on=True)
    harness.bring(1)
    await watched.until(lambda: watched.dropped() > before, within_s=BACK_S, what="counted")
    assert {scan.codes[0].value for scan in watched.scans} <= {harness.told(1).key.hex()}
    assert all(scan.findings for scan in watched.scans)
    count = len(watched.scans)
    harness.spoil(on=False)
    await told_whole(harness, watched, 1, count + 1)
