"""Codes that a gateway read together: the cylinders that they name are blocked, once."""

from collections.abc import Iterable
from typing import Any

import pytest

from cloud.cylinders.observed import ScanObserver
from cloud.model.cylinder import FurtherCode
from protocols.errors import RefuseInput
from protocols.records import Code, Scan
from tests.support.cylinders import CODE, Yard, code_of, file_of
from tests.support.firms import DISTRICT
from tests.support.log_groups import NOON_MS, batch

TAG = FurtherCode("tag_uid", "04A1B2C3")
OTHER = code_of(1)
READ = "cylinders.read"


def scan(codes: Iterable[tuple[str, str]]) -> Scan:
    return Scan(reader="fill-1", at=NOON_MS, codes=[Code(*one) for one in codes])


SWAPPED = scan([("tag_uid", "04a1b2c3"), ("cylinder", OTHER.partition(":")[2])])


class Observer:
    def __init__(self, yard: Yard) -> None:
        self.yard = yard

    def take(self, *scans: Scan) -> None:
        observer = ScanObserver(self.yard.clock, find=self.yard.registry.add_finding)
        self.yard.database.write_now(lambda c: observer.keep(c, [batch(*scans)]))

    async def states(self) -> list[str]:
        scope = self.yard.root(READ).scope
        return [(await self.yard.cylinders.get(one, scope)).state for one in (CODE, OTHER)]

    async def open_findings(self, asset_id: str) -> list[str]:
        asset = await self.yard.registry.get(asset_id)
        found = asset.findings if asset else []
        return [one.reason for one in found if one.resolved_at is None]


@pytest.fixture
async def observer(yard: Yard) -> Observer:
    """Of a gateway in the hall of gas-a; the other cylinder is of gas-b."""
    await yard.cylinders.register(yard.filler(), CODE, file_of(codes=(TAG,)), DISTRICT)
    file = file_of(1, filler="gas-b")
    await yard.cylinders.register(yard.filler("gas-b"), OTHER, file, DISTRICT)
    await yard.registry.put(
        "hall:1", kind="hall", name="", gateways=["gw-1"], attributes={}, parties={"owner": "gas-a"}
    )
    return Observer(yard)


async def test_codes_that_disagree_block_the_own_one_and_are_told_of_both(
    observer: Observer,
) -> None:
    observer.take(SWAPPED)
    assert await observer.states() == ["blocked", "in_use"]
    for asset_id in (CODE, OTHER):
        assert await observer.open_findings(asset_id) == ["codes_disagree"]


async def test_codes_that_agree_or_name_nothing_do_nothing(observer: Observer) -> None:
    own = [("tag_uid", TAG.value), ("cylinder", CODE.partition(":")[2]), ("label", "x" * 500)]
    observer.take(scan(own), scan([("tid", "E2"), ("raw", "x")]), scan([("tag_uid", "FFFFFFFF")]))
    assert await observer.states() == ["in_use", "in_use"]
    assert await observer.open_findings(CODE) == []


async def test_a_lifted_block_resolves_its_finding_and_old_scans_block_no_more(
    yard: Yard, observer: Observer
) -> None:
    observer.take(SWAPPED)
    manager = yard.who("cylinders.resolve", "gas-a", "enterprise_manager")
    record = await yard.cylinders.get(CODE, manager.scope)
    await yard.cylinders.lift(manager, CODE, record.blocks[0].id, "label was put right")
    assert await observer.open_findings(CODE) == []
    assert await observer.open_findings(OTHER) == ["codes_disagree"]
    await yard.registry.flush()
    observer.take(SWAPPED)
    assert await observer.states() == ["in_use", "in_use"]
    assert await observer.open_findings(CODE) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "castle"}, "kind"),
        ({"gas": "nectar"}, "gas"),
        ({"gas": "oxygen"}, "gas"),
        ({"kind": "steel_seamless", "gas": "mixture", "components": ("argon", "nectar")}, "compon"),
    ],
)
async def test_what_no_rule_can_judge_is_not_registered(
    yard: Yard, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(RefuseInput, match=f"{field}.*expected .*found"):
        await yard.cylinders.register(yard.filler(), CODE, file_of(**fields))


async def test_a_mixture_of_known_gases_is_registered(yard: Yard) -> None:
    file = file_of(kind="steel_seamless", gas="mixture", components=("argon", "carbon_dioxide"))
    await yard.cylinders.register(yard.filler(), CODE, file)
