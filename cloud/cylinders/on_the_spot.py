"""What is done on the spot with a handheld, carried out in the registry with the record itself.

An inspection goes into the cylinder's history, and one that stops it blocks it; a tag is put on; a
count changes nothing, and is held against what is known. Somebody reaches with a handheld what he
may report on.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from cloud.cylinders.base import Registry
from cloud.cylinders.blocks import add_block, lift_block
from cloud.cylinders.changes import Actor, Turn, existing, turn
from cloud.cylinders.facts import DENIED, TAG_UID
from cloud.cylinders.register import add_code, end_codes, own_code, taken_codes
from cloud.cylinders.rights import known_cylinder
from cloud.cylinders.rows import codes_of, state_of
from cloud.cylinders.watch.sightings import local_day
from cloud.handheld.base import Sender
from cloud.model.cylinder import CODES_MAX, SCHEME, Cause, FurtherCode
from cloud.model.cylinder_tables import cylinder, cylinder_block
from cloud.model.principal import NOTHING, Principal, Scope
from protocols.clock import Clock, iso
from protocols.errors import RefuseInput
from protocols.handheld import Count, Inspection, Record, Settled, Tag

CALL = "cylinders.report"
STOPPED: Cause = "stopped_on_spot"
FOUND_MAX = 10
"""Cylinders that the word on a count names; the record has them all."""


class OnTheSpot:
    """Judges records of handhelds; inside the transaction that keeps them."""

    def __init__(
        self,
        registry: Registry,
        principal: Callable[[int], Principal | None],
        clock: Clock,
        *,
        zone: ZoneInfo,
    ) -> None:
        """Make it.

        Args:
            registry: tells where a cylinder is, and whose.
            principal: whom an account stands for, None when it may not come in.
            clock: of the service.
            zone: in which days are counted.

        """
        self._registry, self._principal, self._clock = registry, principal, clock
        self._zone = zone

    def inspect(self, connection: Connection, record: Record, worker: Sender) -> Settled | None:
        """Enter an inspection; block what it stops, lift what its re-check found good.

        Raises:
            RefuseInput: `not_found`, or `wrong_state` for a scrapped one.

        """
        what = record.what
        if isinstance(what, Inspection) and what.asset.startswith(f"{SCHEME}:"):
            known_cylinder(self._registry, what.asset, self._scope(worker))
            with self._turn(connection, worker) as taken:
                _enter(taken, what, f"{worker.store}:{record.number}", self._when(record))
        return None

    def put_on(self, connection: Connection, record: Record, worker: Sender) -> Settled | None:
        """Put a tag on a cylinder; one that is on it already stays.

        Raises:
            RefuseInput: `not_found`, `wrong_state`, `tag_taken`, `wrong_tag`, `too_many_tags`.

        """
        what = record.what
        if isinstance(what, Tag):
            known_cylinder(self._registry, what.asset, self._scope(worker))
            with self._turn(connection, worker) as taken:
                _put_on(taken, what)
        return None

    def count(self, connection: Connection, record: Record, worker: Sender) -> Settled | None:
        """Hold a count against the registry; what it contradicts is told."""
        what = record.what
        if not isinstance(what, Count):
            return None
        there = [one for one in (*what.found, *what.unexpected) if one.startswith(f"{SCHEME}:")]
        odd = list(self._odd(connection, there, self._scope(worker)))
        if not odd:
            return None
        more = f" and {len(odd) - FOUND_MAX} more" if len(odd) > FOUND_MAX else ""
        return Settled(
            number=record.number,
            outcome="conflict",
            reason="count_contradicts",
            expected="cylinders that are registered, and neither lost, scrapped nor blocked",
            found=", ".join(odd[:FOUND_MAX]) + more,
        )

    def _odd(self, connection: Connection, there: Sequence[str], scope: Scope) -> list[str]:
        """Return what cannot be on a shelf as it is known, each with why."""
        column = cylinder.c
        query = select(column.asset_id, column.state, column.blocks)
        rows = connection.execute(query.where(column.asset_id.in_(there))).mappings()
        states = {row["asset_id"]: state_of(row) for row in rows}
        found = []
        for one in there:
            asset, state = self._registry.peek(one), states.get(one)
            if asset is None or state is None or not scope.admits(asset):
                found.append(f"{one} not known")  # outside the scope is not told from nowhere
            elif state in (*DENIED, "blocked"):
                found.append(f"{one} {state}")
        return found

    def _when(self, record: Record) -> dict[str, str]:
        """Return moment and local day of a record; nothing of a clock in doubt."""
        if record.time_source == "doubtful" or record.observed_at > self._clock.wall_ms():
            return {}
        day = local_day(record.observed_at, self._zone).isoformat()
        return {"inspected_on": day, "inspected_at": iso(record.observed_at)}

    def _scope(self, worker: Sender) -> Scope:
        """Return what somebody reaches now; nothing when the account is disabled by now."""
        principal = None if worker.account is None else self._principal(worker.account)
        return NOTHING if principal is None else principal.scope(CALL)

    def _turn(self, connection: Connection, worker: Sender) -> Any:
        actor = Actor(f"device:{worker.id}", worker.organisation)
        return turn(connection, actor, self._clock.wall_ms())


def judges(
    spot: OnTheSpot,
) -> Mapping[str, Callable[[Connection, Record, Sender], Settled | None]]:
    """Return what carries records out, by their kind."""
    return {"inspection": spot.inspect, "tag": spot.put_on, "count": spot.count}


def _enter(taken: Turn, what: Inspection, name: str, when: Mapping[str, str]) -> None:
    existing(taken, what.asset)
    told: dict[str, Any] = {"record": name, "form": what.form, "result": what.outcome, **when}
    if what.findings:
        told["findings"] = [one.code for one in what.findings]
    if what.instruction is not None:
        told |= {"instruction": what.instruction.text, "due_on": str(what.instruction.due_on)}
    if what.photos:
        told["photos"] = len(what.photos)
    taken.change(what.asset, "inspected_on_spot", {}, told=({}, told))
    if what.recheck_of is not None:
        _lift_of(taken, what.asset, what.recheck_of, f"re-check {name}: {what.outcome}")
    if what.outcome == "stopped":
        add_block(taken, what.asset, STOPPED, name)


def _lift_of(taken: Turn, asset_id: str, stopped_by: str, reason: str) -> None:
    """Lift the block that one inspection set; others stay."""
    column = cylinder_block.c
    here = (column.asset_id == asset_id, column.cause == STOPPED, column.lifted_at.is_(None))
    query = select(column.id).where(*here, column.detail == stopped_by)
    for block_id in taken.connection.execute(query).scalars().all():
        lift_block(taken, asset_id, block_id, reason, any_cause=True)


def _put_on(taken: Turn, what: Tag) -> None:
    existing(taken, what.asset)
    on = codes_of(taken.connection, [what.asset]).get(what.asset, ())
    new, old = FurtherCode(TAG_UID, what.uid), None
    if what.replaces is not None and what.replaces != what.uid:
        old = FurtherCode(TAG_UID, what.replaces)
    if taken_codes(taken, what.asset, [new]) and new != own_code(what.asset):
        raise RefuseInput("tag_taken", f"{new} is, or once was, of another cylinder")
    if new in on and old not in on:
        return  # as it is already
    if old is not None and old not in on:
        raise RefuseInput("wrong_tag", f"replaces: expected one of its tags, found {old.value}")
    after = tuple(sorted({*on, new} - {old}))
    if len(after) > CODES_MAX:
        raise RefuseInput("too_many_tags", f"at most {CODES_MAX} codes")
    if old is not None:
        end_codes(taken, what.asset, old)
    add_code(taken, what.asset, new)
    taken.change(what.asset, "tag_put_on", {}, told=({"codes": on}, {"codes": after}))
