"""Properties of the lock: whatever a guesser does, few guesses are looked at."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.access.attempts import (
    FREE_FAILURES,
    LOCK_FIRST_MS,
    LOCK_MS_MAX,
    is_locked,
    lock_ms,
)
from protocols.clock import ManualClock
from tests.support.people import Door, open_door
from tests.support.state_database import open_state

STEPS = st.lists(
    st.one_of(
        st.integers(0, 2 * LOCK_MS_MAX),  # so long the guesser waits
        st.just("guess"),
        st.just("burst"),  # many at the same moment, in two processes
    ),
    min_size=1,
    max_size=40,
)
BURST = 6


@given(st.integers(0, 10_000))
def test_lock_grows_and_is_bounded(failures: int) -> None:
    assert lock_ms(failures) <= lock_ms(failures + 1) <= LOCK_MS_MAX
    assert (lock_ms(failures) == 0) == (failures <= FREE_FAILURES)
    assert lock_ms(failures) in (0, LOCK_FIRST_MS) or failures > FREE_FAILURES + 1


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**41))
def test_lock_ends_and_none_is_longer_than_a_lock_can_be(until: int, now_ms: int) -> None:
    if is_locked(until, now_ms):
        assert 0 < until - now_ms <= LOCK_MS_MAX
    assert not is_locked(None, now_ms)


@settings(max_examples=25)
@given(STEPS)
def test_guesses_that_are_looked_at_are_few_however_they_come(steps: list[int | str]) -> None:
    asyncio.run(_guess(steps))


async def _guess(steps: list[int | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = open_state(f"sqlite:///{folder}/state.db")
        door = await open_door(database, ManualClock(), Path(folder))
        await door.organisation("firm-a")
        account = await door.account("li", "enterprise_clerk", organisation="firm-a")
        try:
            await _play(door, await door.again(), account, steps)
        finally:
            database.close()


async def _play(door: Door, other: Door, account: int, steps: list[int | str]) -> None:
    begun_ms, looked_at = door.clock.wall_ms(), 0
    for step in steps:
        if isinstance(step, int):
            door.clock.advance(step)
            continue
        doors = [door, other] * (BURST // 2) if step == "burst" else [door]
        tried = await asyncio.gather(*(_try(one, account) for one in doors))
        looked_at += sum(tried)
        allowed = _allowed(door.clock.wall_ms() - begun_ms)
        assert looked_at <= allowed
        assert door.row(account).failures == looked_at


async def _try(door: Door, account: int) -> bool:
    """Tell whether a guess would have opened the account, had it been right."""
    unnoted = lambda _connection: None  # noqa: E731
    return await door.book.attempts.count(
        door.known(account), known=False, locking=lambda _failures, _left_out: unnoted
    )


def _allowed(within_ms: int) -> int:
    """Return how many guesses the rule lets through within a time: each waits for its lock."""
    guesses, at_ms = FREE_FAILURES + 1, 0
    while True:
        at_ms += lock_ms(guesses)
        if at_ms > within_ms:
            return guesses
        guesses += 1
