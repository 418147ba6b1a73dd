"""What stands of a lift, whatever the order in which it is told."""

import random

import pytest

from cloud.platforms.codes import CODES_MAX, Standing, Told, message, whole

ALARMS = frozenset({"90"})


def say(
    known: Standing, at: int, *codes: str, begins: bool = True, received_at: int = 0
) -> tuple[Standing, tuple[Told, ...]]:
    return message(
        known, at, codes, begins=begins, emergencies=ALARMS, received_at=received_at or at
    )


@pytest.mark.parametrize("seed", range(20))
def test_messages_in_any_order_end_in_what_the_newest_words_say(seed: int) -> None:
    rng = random.Random(seed)
    words = [(at, rng.choice(("02", "03", "41", "90")), rng.random() < 0.6) for at in range(1, 40)]
    expected = {code for code in ("02", "03", "41", "90") if _last(words, code)}
    rng.shuffle(words)
    known, times = Standing(), [0]
    for at, code, begins in words:
        known, told = say(known, at, code, begins=begins)
        times += [one.at for one in told if one.at > times[-1]]
    assert {code for code, (stands, _) in known.codes.items() if stands} == expected
    assert times == sorted(set(times))


def _last(words: list[tuple[int, str, bool]], code: str) -> bool:
    return max(((at, begins) for at, one, begins in words if one == code), default=(0, False))[1]


@pytest.mark.parametrize("seed", range(20))
def test_every_emergency_is_in_a_list_of_the_log(seed: int) -> None:
    rng = random.Random(seed)
    words = [(at, "90", bool(at % 2)) for at in range(1, 20)]
    rng.shuffle(words)
    known, lists = Standing(), 0
    for at, code, begins in words:
        known, told = say(known, at, code, begins=begins)
        lists += begins and any("90" in one.codes for one in told)
    assert lists == 10


def test_old_emergency_is_history_for_itself() -> None:
    known, _ = whole(Standing(), 10_000_000, ())
    after, told = say(known, 1_000, "90", received_at=10_000_000)
    assert told == (Told(1_000, ("90",)),)
    assert after == known


def test_whole_list_overtaken_by_messages_keeps_both() -> None:
    known, _ = say(Standing(), 20, "02")
    known, told = whole(known, 10, ("03",))
    assert told == Told(21, ("03", "02"))


def test_codes_remembered_are_bounded() -> None:
    known = Standing()
    for number in range(3 * CODES_MAX):
        known, _ = say(known, 2 * number, f"x{number}")
        known, _ = say(known, 2 * number + 1, f"x{number}", begins=False)
    assert len(known.codes) <= CODES_MAX + 1
