"""Station snapshots: what is written is found again, whole, in increments and merged."""

import random

import pytest

from protocols.cylinders.base import Cylinder
from protocols.cylinders.snapshot import MAGIC, Layer, Snapshot
from protocols.cylinders.snapshot_merge import merge
from protocols.cylinders.snapshot_write import write_whole
from protocols.errors import RefuseInput
from tests.support.stations import BOOK, Stock, layer, manifest


def merged(layers: list[Layer]) -> bytes:
    out = bytearray()
    merge(out.extend, layers)
    return bytes(out)


def check(snapshot: Snapshot, stock: Stock) -> None:
    codes = {stock.code() for _ in range(60)} | set(stock.cylinders) | set(stock.denied)
    for code in codes:
        assert snapshot.find(code) == stock.cylinders.get(code)
        assert snapshot.denied(code) == stock.denied.get(code)
    for uid in {stock.uid() for _ in range(40)}:
        assert snapshot.find_tag(uid) == stock.find_tag(uid)
    assert snapshot.rules == stock.rules


@pytest.mark.parametrize("seed", range(24))
def test_whole_increments_and_merges_tell_what_a_dictionary_tells(seed: int) -> None:
    stock = Stock(random.Random(seed))
    stock.edit(200 if seed % 3 else 0)
    layers = [layer(stock.whole())]
    for _ in range(stock.rng.randint(1, 8)):
        layers.append(layer(stock.edit(stock.rng.choice([0, 1, 5, 40])).written()))
        check(Snapshot(layers, manifest(), BOOK), stock)
        if stock.rng.random() < 0.3:
            whole = merged(layers)
            assert whole == stock.whole()
            layers = [layer(whole)]
            check(Snapshot(layers, manifest(), BOOK), stock)
    assert merged(layers) == stock.whole()


def test_increments_may_be_merged_one_by_one_or_all_at_once() -> None:
    stock = Stock(random.Random(7))
    stock.edit(100)
    base = stock.whole()
    first, second = (stock.edit(30).written() for _ in range(2))
    step = merged([layer(base), layer(first)])
    assert merged([layer(step), layer(second)]) == merged(
        [layer(base), layer(first), layer(second)]
    )


def test_nothing_is_known_of_an_empty_one() -> None:
    snapshot = Snapshot([layer(Stock(random.Random(1)).whole())], manifest(), BOOK)
    assert snapshot.find("cylinder:1") is None
    assert snapshot.find_tag("04") is None
    assert snapshot.denied("cylinder:1") is None


def test_a_tag_of_two_cylinders_proves_neither() -> None:
    stock = Stock(random.Random(1))
    for code in ("cylinder:1", "cylinder:2"):
        stock.cylinders[code] = Cylinder(code=code, kind="lpg", gas="lpg", tag_uids=("04AA",))
    snapshot = Snapshot([layer(stock.whole())], manifest(), BOOK)
    assert snapshot.find_tag("04AA") is None
    assert snapshot.find("cylinder:2") == stock.cylinders["cylinder:2"]


def test_a_code_that_comes_twice_is_refused() -> None:
    one = Cylinder(code="cylinder:1", kind="lpg", gas="lpg")
    with pytest.raises(RefuseInput, match="twice: cylinder:1"):
        write_whole(bytearray().extend, [one, one], {}, b"")


@pytest.mark.parametrize("key", ["", "cylinder:", "cylinder:a b", "cylinder:\n1", "é", "x" * 200])
def test_what_is_no_key_is_refused(key: str) -> None:
    snapshot = Snapshot([layer(Stock(random.Random(1)).whole())], manifest(), BOOK)
    for ask in (snapshot.find, snapshot.find_tag, snapshot.denied):
        with pytest.raises(RefuseInput, match="bad_key"):
            ask(key)


def test_another_schema_is_refused_by_name() -> None:
    data = Stock(random.Random(1)).whole()[: -len(MAGIC)] + b"SUYCYL02"
    with pytest.raises(RefuseInput, match="unknown_schema"):
        layer(data)


def test_a_field_of_another_release_is_refused_by_name() -> None:
    stock = Stock(random.Random(1))
    stock.edit(50)
    data = stock.whole().replace(b'"kind"', b'"kynd"')
    with pytest.raises(RefuseInput, match="unknown_schema: no field kynd"):
        layer(data)


@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_head_is_refused_or_opens_but_never_breaks_the_reader(seed: int) -> None:
    """A file is proved by its hash before it is opened; yet the reader bears anything."""
    rng = random.Random(seed)
    stock = Stock(rng)
    stock.edit(20)
    data = bytearray(stock.whole())
    if seed % 2:
        del data[rng.randrange(len(data)) :]
    else:
        data[-rng.randint(1, min(1500, len(data)))] ^= 1 << rng.randrange(8)
    reason = ""
    try:
        layer(bytes(data))
    except RefuseInput as error:
        reason = error.reason
    assert reason in ("truncated", "unknown_schema", "malformed", *([] if seed % 2 else [""]))
