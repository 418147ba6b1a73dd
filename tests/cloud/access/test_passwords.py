import asyncio

import pytest

from cloud.access import passwords
from cloud.access.passwords import (
    CHARS_MAX,
    CHARS_MIN,
    DIFFERENT_MIN,
    NOBODYS,
    Verifier,
    check_password,
    hash_password,
    load_common,
)
from protocols.errors import RefuseInput, RetryLater

pytestmark = pytest.mark.slow_passwords
GOOD = [
    "correct horse battery",
    "一二三四五六七八九十甲乙",
    "kvw93jf02mxq",
    "0123456789" * 12 + "abcdefgh",
]
BAD = [
    "",
    "short",
    "elevenchars",
    "0123456789" * 12 + "abcdefghi",
    "x" * 128,
    "abababababa",
    "abcabdabcabd",
    "12345678123456781234567812345678",
    "Password1234",
    "ADMIN@123456",
    "my-zhangsan-2026",
    "丰收果蔬合作社的密码一二三四",
]
OWN = ["ZhangSan", "丰收果蔬合作社", "li"]


@pytest.mark.parametrize("password", GOOD)
def test_password_that_is_long_and_not_common_is_taken(password: str) -> None:
    check_password(password, own=OWN)


@pytest.mark.parametrize("password", BAD)
def test_password_that_is_guessed_soon_is_refused(password: str) -> None:
    with pytest.raises(RefuseInput, match="weak_password"):
        check_password(password, own=OWN)


def test_common_passwords_are_those_that_nothing_else_refuses() -> None:
    for password in load_common():
        assert len(password) >= CHARS_MIN
        assert password == password.casefold()
        assert len(set(password)) >= DIFFERENT_MIN
        assert password not in (password + password)[1:-1]


async def test_password_is_kept_as_argon2id_and_known_again() -> None:
    kept, desk = hash_password(GOOD[0]), Verifier()
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,")
    assert await desk.verify(GOOD[0], kept)
    for wrong in (GOOD[1], GOOD[0] + " ", "", GOOD[0].upper(), "\udcff", "x" * 10_000):
        assert not await desk.verify(wrong, kept)
    for damaged in (None, "", "plain", "$argon2id$v=19$m=65536,t=3,p=4$"):
        assert not await desk.verify(GOOD[0], damaged)


async def test_password_is_the_same_however_its_letters_are_composed() -> None:
    kept = hash_password("fu\u0308nf A\u0308pfel im Korb")
    assert await Verifier().verify("f\u00fcnf \u00c4pfel im Korb", kept)


async def test_password_cut_off_at_the_bound_is_not_the_password() -> None:
    kept = hash_password(GOOD[3])
    assert len(GOOD[3]) == CHARS_MAX
    assert not await Verifier().verify(GOOD[3] + "z" * 20, kept)


async def test_few_are_looked_at_at_once_and_a_flood_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way, most = 0, 0
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_password: str, _kept: str) -> bool:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        under_way -= 1
        return True

    monkeypatch.setattr(passwords, "_verify", slow)
    desk = Verifier()
    flood = [asyncio.create_task(desk.verify("x", "kept")) for _ in range(passwords.WAITING_MAX)]
    await asyncio.sleep(0.05)
    with pytest.raises(RetryLater):
        await desk.verify("x", "kept")
    release.set()
    assert all(await asyncio.gather(*flood))
    assert most == passwords.AT_ONCE_MAX
    assert await desk.verify("x", "kept")


def test_a_name_that_does_not_exist_costs_what_one_costs_that_does() -> None:
    parameters = [text.split("$")[1:4] for text in (NOBODYS, hash_password("correct horse 9"))]
    assert parameters[0] == parameters[1]
