"""Which groups an ingester takes."""

from cloud.ingest.share import to_claim
from cloud.model.ownership import Holding


def rows(*owners: str | None, wanted: dict[int, str] | None = None) -> list[Holding]:
    return [
        Holding(name=str(n), owner=owner, epoch=1, beat=1, wanted=(wanted or {}).get(n))
        for n, owner in enumerate(owners)
    ]


def names(
    found: list[Holding], me: str, *, held: set[str] | None = None, stale: set[str] | None = None
) -> list[str]:
    held = {row.name for row in found if row.owner == me} if held is None else held
    return [row.name for row in to_claim(found, me=me, held=held, stale=stale or set())]


def test_first_takes_everything() -> None:
    assert names(rows(None, None, None), "a") == ["0", "1", "2"]


def test_restarted_takes_its_own_at_once() -> None:
    assert names(rows("a", "a"), "a", held=set()) == ["0", "1"]


def test_newcomer_takes_one_at_a_time_until_it_has_its_share() -> None:
    assert names(rows("a", "a", "a", "a"), "b") == ["3"]
    assert names(rows("a", "a", "a", "b"), "b") == ["2"]
    assert names(rows("a", "a", "b", "b"), "b") == []
    assert names(rows("a", "a", "b", "b"), "a") == []


def test_silent_owners_groups_are_taken() -> None:
    assert names(rows("a", "a", "b", "b"), "b", stale={"0", "1"}) == ["0", "1"]


def test_wanted_here_is_taken_from_a_living_owner() -> None:
    assert names(rows("a", "a", "b", "b", wanted={0: "b"}), "b") == ["0"]


def test_wanted_where_it_is_stays_there() -> None:
    kept = rows("a", "a", "a", "a", wanted=dict.fromkeys(range(4), "a"))
    assert names(kept, "b") == []


def test_nobodys_group_is_left_to_whom_it_is_wanted_while_that_one_lives() -> None:
    free = rows(None, "a", "b", "b", wanted={0: "b"})
    assert names(free, "a") == []
    assert names(free, "b") == ["0"]
    assert names(rows(None, "a", wanted={0: "gone"}), "a") == ["0"]
