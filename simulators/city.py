"""Many lifts behind their controllers: physics in, registers out, actions from outside."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from protocols.catalog.points import load_points
from protocols.clock import Clock
from protocols.errors import RefuseInput
from protocols.modbus.registers import Table
from protocols.readings import Value
from simulators import actions
from simulators.dialect import Dialect, Image, Register
from simulators.lift import Lift
from simulators.traffic import Traffic

DELAY_MAX_S = 60.0
PERSONS_MAX = 20


@dataclass
class PointState:
    """What a controller shows of one point, and since when."""

    value: Value
    changed_at: int
    """Milliseconds since 1970."""


@dataclass
class ServedLift:
    """One lift and the board that tells of it."""

    index: int
    unit_id: int
    dialect: Dialect
    lift: Lift
    traffic: Traffic
    where: str = ""
    """Port or device where it is served, for people."""
    image: Image = field(default_factory=dict)
    held: dict[str, Value] = field(default_factory=dict)
    shown: dict[str, PointState] = field(default_factory=dict)
    silent: bool = False
    delay_s: float = 0.0
    reads: int = 0
    """Requests answered."""
    refused: int = 0
    """Requests answered with an exception: unlisted addresses, writes."""
    changed_at: int = 0
    """When a register last changed, ms since 1970."""
    seen_at: int = 0
    """When a read had fetched every register changed until then, ms since 1970."""
    _unseen: set[Register] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Start from a board of zeros."""
        self.image = self.dialect.blank()

    def refresh(self, now_ms: int) -> bool:
        """Write what changed into the registers; True when a register did change."""
        wanted = self.lift.values() | self.held
        shown = self.shown
        stale = {
            name: value
            for name, value in wanted.items()
            if name not in shown or shown[name].value != value
        }
        if not stale:
            return False
        for name, value in stale.items():
            shown[name] = PointState(value, now_ms)
        stale.update({name: self.held[name] for name in self.held if name not in stale})
        changed = self.dialect.write(stale, self.image)
        for registers in changed.values():
            self._unseen |= registers
            self.changed_at = now_ms
        return bool(changed)

    def fetched(self, table: Table, address: int, count: int, now_ms: int) -> None:
        """Note that a client has read these registers."""
        self.reads += 1
        if self._unseen:
            self._unseen -= {(table, address + index) for index in range(count)}
            if not self._unseen:
                self.seen_at = now_ms


class City:
    """All lifts of one process.

    Args:
        lifts: the lifts, each with its index as place.
        clock: says when a register changed.

    """

    def __init__(self, lifts: Sequence[ServedLift], clock: Clock) -> None:
        self.lifts = list(lifts)
        self.clock = clock
        self._points = load_points("elevator")
        self.refresh()

    def step(self, dt_s: float) -> None:
        """Let time pass for all."""
        now_ms = self.clock.wall_ms()
        for served in self.lifts:
            served.traffic.step(dt_s, served.lift)
            if served.lift.step(dt_s):
                served.refresh(now_ms)

    def refresh(self) -> None:
        """Write what the lifts say into the registers, without letting time pass."""
        now_ms = self.clock.wall_ms()
        for served in self.lifts:
            served.refresh(now_ms)

    def apply(self, action: actions.Action) -> dict[str, object]:
        """Do what an action says; registers change at once.

        Returns:
            the answer for whoever asked, as plain data.

        Raises:
            RefuseInput: no such lift, unit, point or floor.

        """
        match action:
            case actions.Stats():
                return {"ok": True} | self.stats()
            case actions.Silence(on=on, unit=unit):
                self._silence(action, on=on, unit=unit)
            case _:
                for served in self._chosen(action.lift):
                    self._apply_one(action, served)
                    served.refresh(self.clock.wall_ms())
        return {"ok": True, "at": self.clock.wall_ms()}

    def apply_to(self, action: actions.Action, lift: int) -> None:
        """Do to one lift what an action without a lift of its own says.

        Raises:
            RefuseInput: as `apply`.

        """
        if isinstance(action, actions.OnLift):
            self.apply(msgspec.structs.replace(action, lift=lift))
        else:
            raise RefuseInput("bad_action", "this action is not done to a lift")

    def stats(self) -> dict[str, object]:
        """Count reads per unit, and tell of each lift what it shows and since when."""
        reads: dict[str, int] = {}
        for served in self.lifts:
            reads[str(served.unit_id)] = reads.get(str(served.unit_id), 0) + served.reads
        missed = sorted({name for served in self.lifts for name in served.dialect.missed})
        return {"reads": reads, "lifts": list(self._lift_stats()), "not_expressible": missed}

    def _lift_stats(self) -> Iterator[dict[str, object]]:
        for served in self.lifts:
            yield {
                "lift": served.index,
                "unit": served.unit_id,
                "where": served.where,
                "controller": served.dialect.controller.id,
                "silent": served.silent,
                "reads": served.reads,
                "refused": served.refused,
                "changed_at": served.changed_at,
                "seen_at": served.seen_at,
                "points": {
                    name: {"value": state.value, "changed_at": state.changed_at}
                    for name, state in served.shown.items()
                    if name in served.dialect.names
                },
            }

    def _chosen(self, lift: int | None) -> list[ServedLift]:
        if lift is None:
            return self.lifts
        if not 0 <= lift < len(self.lifts):
            raise RefuseInput("no_such_lift", f"lifts are 0 to {len(self.lifts) - 1}")
        return [self.lifts[lift]]

    def _silence(self, action: actions.Silence, *, on: bool, unit: int | None) -> None:
        chosen = [s for s in self._chosen(action.lift) if unit in (None, s.unit_id)]
        if not chosen:
            raise RefuseInput("no_such_unit", f"no lift has unit id {unit}")
        for served in chosen:
            served.silent = on

    def _apply_one(self, action: actions.Action, served: ServedLift) -> None:
        match action:
            case actions.SetValues(values=values):
                self._hold(served, values)
            case actions.Release():
                served.held.clear()
            case actions.Delay(delay_s=delay_s):
                if not 0 <= delay_s <= DELAY_MAX_S:
                    raise RefuseInput("bad_delay", f"a delay is 0 to {DELAY_MAX_S:.0f} s")
                served.delay_s = delay_s
            case actions.Fault(evidence="alarm_button") if "90" not in served.dialect.codes:
                raise _not_expressible(served, "message code 90")
            case _:
                _apply_to_lift(action, served)

    def _hold(self, served: ServedLift, values: dict[str, Value]) -> None:
        for name, value in values.items():
            if name not in self._points:
                raise RefuseInput("no_such_point", name)
            if not served.dialect.can_say(name, value):
                raise _not_expressible(served, f"{name} = {value!r}")
        served.held.update(values)


def _not_expressible(served: ServedLift, what: str) -> RefuseInput:
    detail = f"controller {served.dialect.controller.id} of lift {served.index} has no {what}"
    return RefuseInput("not_expressible", detail)


def _apply_to_lift(action: actions.Action, served: ServedLift) -> None:
    lift = served.lift
    try:
        match action:
            case actions.Fault(name=name, evidence=evidence):
                lift.set_fault(name, evidence)
            case actions.Clear():
                lift.clear()
            case actions.Mode(mode=mode):
                lift.set_mode(mode)
            case actions.Call(persons=persons) if 1 <= persons <= PERSONS_MAX:
                for _ in range(persons):
                    lift.call(action.from_floor, action.to_floor)
            case actions.ChangeTraffic(pattern=pattern, trips_per_hour=rate):
                served.traffic.change(pattern, rate)
            case _:
                raise RefuseInput("bad_action", f"{action}")
    except ValueError as error:
        raise RefuseInput("bad_action", str(error)) from error


def lift_rng(seed: int, index: int) -> random.Random:
    """Give each lift its own source of chance, the same in every run with that seed."""
    return random.Random(f"{seed}/{index}")
