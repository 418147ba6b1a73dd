"""What a simulated platform sends comes out again by its own dialect."""

import pytest

from protocols.lifts.dialect import emergencies, load_dialects
from simulators.lift_platform import PlatformFleet, PlatformWishes

DIALECTS = load_dialects()


def wishes(**fields: object) -> PlatformWishes:
    given = {"url": "http://x", "platform": "acme", "secret": "", "lifts": 20, **fields}
    return PlatformWishes(**given)  # type: ignore[arg-type]  # as named


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_dialect_is_spoken_without_an_unknown_word(name: tuple[str, str]) -> None:
    dialect = DIALECTS[name]
    fleet = PlatformFleet(wishes(entrapments=0.5), dialect)
    for second in range(10):
        for kind, item in fleet.step(1_764_000_000_000 + second * 1000):
            found = dialect.decode(item.get("values", {}), item["message_code"])
            assert not found.quality
            assert not found.unknown_codes
            assert not found.unknown_fields
            if kind == "messages":
                assert not emergencies().isdisjoint(found.codes or ())
    assert fleet.trapped > 10


def test_faults_come_as_asked_and_again_from_the_same_seed() -> None:
    dialect = DIALECTS["special-equipment", "1"]
    bad = wishes(duplicates=0.3, disorder=0.3, unknown=0.2, entrapments=0.1, clock_off_s=28800)
    first, second = PlatformFleet(bad, dialect), PlatformFleet(bad, dialect)
    rounds = [first.step(1_764_000_000_000 + 1000 * number) for number in range(5)]
    assert rounds == [second.step(1_764_000_000_000 + 1000 * number) for number in range(5)]
    sent = [str(item) for one in rounds for _, item in one]
    assert len(set(sent)) < len(sent)
    assert any("X999" in one for one in sent)
    assert rounds[0][0][1]["time_stamps"] == "2025-11-24T08:00:00.000Z"
    assert first.rest()
    assert not first.rest()
