"""What is known of each asset now: the newest value of each point, by observed_at, then seq.

Merging is commutative and idempotent: readings may come in any order and any number of times.
Values lie in flat lists by column, for a fleet's state is what the garbage collector walks.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from cloud.model.asset import LatestValue
from cloud.rules.evaluate import AlertState, fresh
from cloud.rules.expression import Variables
from cloud.rules.rule import OUTSIDE, Rule
from protocols.catalog.points import kinds, load_points
from protocols.readings import Quality, Value

POINTS_PER_KIND_MAX = 128
"""Values of further points of a kind are not kept here; the time series have them."""
LONG_AGO = -(2**62)

PLANS_MAX = 1_000
"""Sets of points that are reported together, of one kind; a fleet uses some dozens."""

Doubt = tuple[Value, int, Quality]
"""(last value, its observed_at, quality heard last) of a point that is not known now."""


class Plan:
    """How readings of certain points, in this order, go into the columns of their kind.

    Its pickers take a moment's values followed by all the columns of an asset as they are.
    """

    __slots__ = ("known", "lists", "merged", "others", "told")

    def __init__(self, kind: "Kind", names: Sequence[str]) -> None:
        place = {kind.columns[name]: at for at, name in enumerate(names)}
        columns, watched = range(len(kind.columns)), [one for one in place if one in kind.watch]
        self.told = _picker([place[column] for column in watched])
        """Picks what the readings say of the inputs of rules,"""
        self.known = _picker([len(names) + column for column in watched])
        """what is known of these,"""
        self.merged = _picker(
            [
                place[column]
                if column in place and column not in kind.watch
                else len(names) + column
                for column in columns
            ]
        )
        """and the columns as they are when the readings change no input."""
        self.lists = tuple(kind.columns[one] for one in names if one not in kind.flat)
        """Columns that may hold a list,"""
        self.others = tuple(column for column in columns if column not in place)
        """and those of which these readings say nothing."""


def _picker(places: Sequence[int]) -> Callable[[Sequence[Value]], tuple[Value, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


class Kind:
    """The points of one kind of asset as columns, and the rules that read them."""

    def __init__(self, name: str, rules: Sequence[Rule]) -> None:
        self.name = name
        self.columns: dict[str, int] = {}
        self._plans: dict[tuple[str, ...], Plan] = {}
        self.assets: list[AssetState] = []
        self.rules = tuple(rules)
        self.fresh = tuple(fresh(rule) for rule in rules)
        self.index = {rule.alert: at for at, rule in enumerate(rules)}
        known = load_points(name) if name in kinds() else {}
        self.flat = frozenset(one.name for one in known.values() if one.type != "codes")
        """Points whose values are no lists."""
        self.cloud_only = frozenset(one.name for one in known.values() if one.reporter == "cloud")
        for point in known:
            self.column(point)
        self.watch: dict[int, tuple[int, ...]] = {}
        self.watch_outside: dict[str, tuple[int, ...]] = {}
        self._watch_inputs()
        self.read = tuple(
            tuple(
                tuple(self.columns[n] for n in proof.expr.names if n in self.columns)
                for proof in rule.proofs
            )
            for rule in rules
        )
        """Columns that each proof of each rule reads."""
        self.variables = Variables(self.columns)

    def plan(self, names: tuple[str, ...]) -> Plan | None:
        """Return how to merge readings of these points; None: some have no column yet."""
        plan = self._plans.get(names)
        if plan is None and self.columns.keys() >= set(names):
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            plan = self._plans[names] = Plan(self, names)
        return plan

    def _watch_inputs(self) -> None:
        for at, rule in enumerate(self.rules):
            for name in rule.inputs:
                if name in OUTSIDE and name not in self.columns:
                    self.watch_outside[name] = (*self.watch_outside.get(name, ()), at)
                else:
                    column = self.columns[name]
                    self.watch[column] = (*self.watch.get(column, ()), at)

    def column(self, name: str) -> int:
        """Return the column of a point, making one; -1 when there are too many."""
        found = self.columns.get(name)
        if found is not None:
            return found
        if len(self.columns) >= POINTS_PER_KIND_MAX:
            return -1
        self.columns[name] = len(self.columns)
        self._plans.clear()  # they do not know of it
        return self.columns[name]


class AssetState:
    """The newest values of one asset, and its alerts that are not idle."""

    __slots__ = (
        "alerts",
        "asset",
        "dirty",
        "doubts",
        "gateway",
        "kind",
        "newest_at",
        "seqs",
        "times",
        "values",
    )

    def __init__(self, asset: str, kind: Kind) -> None:
        self.asset, self.kind = asset, kind
        self.values: list[Value] = []
        """By column; None: not known, then perhaps in `doubts`."""
        self.times: list[int] = []
        self.seqs: list[int] = []
        self.doubts: dict[int, Doubt] | None = None
        self.gateway = ""
        """Who reported it last."""
        self.newest_at = LONG_AGO
        self.alerts: dict[int, AlertState] | None = None
        """By index of the rule; idle ones are left out."""
        self.dirty = False
        """Changed since its last checkpoint."""
        self.grow()

    def grow(self) -> None:
        """Make room for all columns of its kind."""
        missing = len(self.kind.columns) - len(self.values)
        self.values += [None] * missing
        self.times += [LONG_AGO] * missing
        self.seqs += [0] * missing

    def value(self, name: str) -> Value:
        """Return the value of a point, None when it is not known."""
        column = self.kind.columns.get(name, -1)
        return self.values[column] if 0 <= column < len(self.values) else None

    def put(self, column: int, at: int, seq: int, value: Value, quality: Quality) -> bool:
        """Merge one value; tell whether what is known of the point changed."""
        known_at = self.times[column]
        if at < known_at or (at == known_at and seq < self.seqs[column]):
            self._learn_older(column, at, value)
            return False
        self.times[column], self.seqs[column] = at, seq
        before = self.values[column]
        if value is None or quality != "good":
            self._doubt(column, at, value, known_at, quality)
            return before is not None
        if self.doubts is not None:
            self.doubts.pop(column, None)
            self.doubts = self.doubts or None
        self.values[column] = value
        return before is None or before != value

    def confirm(self, columns: Sequence[int], at: int, seq: int) -> None:
        """Note that the values of these columns were seen again."""
        times, seqs = self.times, self.seqs
        for column in columns:
            if at > times[column] or (at == times[column] and seq >= seqs[column]):
                times[column], seqs[column] = at, seq

    def confirm_whole(self, others: Sequence[int], at: int, seq: int) -> None:
        """Note that all columns but the `others` were seen, later than anything before."""
        times, seqs = self.times, self.seqs
        self.times, self.seqs = [at] * len(times), [seq] * len(seqs)
        for column in others:
            self.times[column], self.seqs[column] = times[column], seqs[column]

    def latest(self) -> dict[str, LatestValue]:
        """Return the last value of each point that ever had one."""
        found, doubts = {}, self.doubts or {}
        for name, column in self.kind.columns.items():
            if column >= len(self.values):
                continue
            value = self.values[column]
            if value is not None:
                found[name] = LatestValue(value=value, observed_at=self.times[column])
            elif column in doubts:
                last, at, quality = doubts[column]
                found[name] = LatestValue(value=last, observed_at=at, quality=quality)
        return found

    def pack(self) -> bytes:
        """Write the values as bytes; see `unpack`."""
        columns = [
            (name, self.values[column], self.times[column], self.seqs[column])
            for name, column in self.kind.columns.items()
            if column < len(self.times) and self.times[column] > LONG_AGO
        ]
        by_column = {column: name for name, column in self.kind.columns.items()}
        doubts = [(by_column[column], *doubt) for column, doubt in (self.doubts or {}).items()]
        return _encoder.encode((self.gateway, self.newest_at, columns, doubts))

    def unpack(self, raw: bytes) -> None:
        """Take the values back from bytes of `pack`."""
        self.gateway, self.newest_at, columns, doubts = _decoder.decode(raw)
        for name, value, at, seq in columns:
            column = self.kind.column(name)
            self.grow()
            if column >= 0:
                self.values[column], self.times[column], self.seqs[column] = value, at, seq
        for name, value, at, quality in doubts:
            if name in self.kind.columns:
                self.doubts = self.doubts or {}
                self.doubts[self.kind.columns[name]] = (value, at, quality)

    def _doubt(self, column: int, at: int, value: Value, known_at: int, quality: Quality) -> None:
        heard: Quality = "no_value" if quality == "good" else quality
        before = self.values[column]
        self.doubts = self.doubts or {}
        if value is not None:
            self.doubts[column] = (value, at, heard)
        elif before is not None:
            self.doubts[column] = (before, known_at, heard)
        else:
            last, last_at, _ = self.doubts.get(column, (None, at, heard))
            self.doubts[column] = (last, at if last is None else last_at, heard)
        self.values[column] = None

    def _learn_older(self, column: int, at: int, value: Value) -> None:
        """Keep an older value as the last one of a point that is not known now."""
        doubt = self.doubts.get(column) if self.doubts else None
        if self.doubts and doubt and value is not None and (doubt[0] is None or at > doubt[1]):
            self.doubts[column] = (value, at, doubt[2])


_Packed = tuple[str, int, list[tuple[str, Any, int, int]], list[tuple[str, Any, int, Quality]]]
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Packed] = msgspec.msgpack.Decoder(_Packed)
