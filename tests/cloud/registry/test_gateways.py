from collections.abc import Iterator

import pytest

from cloud.model.database import Database
from cloud.registry.gateways import GatewayBook
from protocols.messages import State
from tests.support.state_database import open_state


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_state(database_url)
    yield database
    database.close()


async def test_set_state_tells_changes_only(database: Database) -> None:
    book = GatewayBook(database)
    await book.load()
    online = State(online=True, boot_id="b1", version="0.1.0", site_sha256="f" * 64)
    assert book.set_state("gw-1", online, 1_000)
    assert not book.set_state("gw-1", online, 2_000)
    assert book.set_state("gw-1", State(online=False, boot_id="b1"), 3_000)
    assert not book.set_state("gw-1", State(online=False, boot_id="b1"), 4_000)
    gateway = book.get("gw-1")
    assert gateway is not None
    assert gateway.version == "0.1.0"


async def test_set_state_late_will_of_old_boot_is_ignored(database: Database) -> None:
    book = GatewayBook(database)
    assert book.set_state("gw-1", State(online=True, boot_id="b1"), 1)
    assert not book.set_state("gw-1", State(online=True, boot_id="b2"), 2)
    assert not book.set_state("gw-1", State(online=False, boot_id="b1"), 3)
    gateway = book.get("gw-1")
    assert gateway is not None
    assert gateway.online


async def test_flush_keeps_state_counters_and_time(database: Database) -> None:
    book = GatewayBook(database)
    book.set_state("gw-2", State(online=True, boot_id="b"), 1_000)
    book.set_counters("gw-2", {"polls": 5, "load": 0.5})
    book.heard("gw-1", 50_000)
    book.heard("gw-1", 49_000)
    await book.flush()
    again = GatewayBook(database)
    await again.load()
    assert [gateway.gateway_id for gateway in again.all()] == ["gw-1", "gw-2"]
    assert again.all() == book.all()
    assert again.all()[0].last_heard_at == 50_000
    assert not again.set_state("gw-2", State(online=True, boot_id="b"), 2_000)


async def test_heard_often_is_written_seldom(database: Database) -> None:
    book = GatewayBook(database)
    for at in (100_000, 100_500, 109_999):
        book.heard("gw-1", at)
        await book.flush()
    again = GatewayBook(database)
    await again.load()
    assert again.all()[0].last_heard_at == 100_000
    book.heard("gw-1", 110_000)
    await book.flush()
    await again.load()
    assert again.all()[0].last_heard_at == 110_000
