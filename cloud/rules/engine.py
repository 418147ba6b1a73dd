"""The rules at work in memory: readings in, transitions out. Knows neither clock nor database."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from cloud.model.asset import LatestValue
from cloud.model.logged import PlacedReadings, flattened
from cloud.rules.evaluate import AlertState
from cloud.rules.judge import SERVICE_ASSET, AlertKey, Judge, kinds_watching
from cloud.rules.rule import BROKER_CONNECTED, GATEWAY_ONLINE, RuleSet
from cloud.rules.values import AssetState, Kind
from protocols.ids import scheme_of
from protocols.readings import Quality, Value

AHEAD_MAX_MS = 5_000
"""A gateway whose clock runs further ahead is placed at the time of receipt; or what it says once
its clock is put right would be older than what it said before."""
KINDS_MAX = 256
"""Values of assets of further kinds are not kept here."""
LISTS_MAX = 10_000
LIST_LENGTH_MAX = 16
"""Lists of values are shared, so many and of this length at most."""

Columns = Mapping[str, list[Value]]


class Engine:
    """All assets with their newest values and alerts."""

    def __init__(self, rules: RuleSet) -> None:
        self._assets: dict[str, AssetState] = {}
        self._kinds: dict[str, Kind] = {kind: Kind(kind, of) for kind, of in rules.by_kind.items()}
        self._by_gateway: dict[str, dict[str, AssetState]] = {}
        self._lists: dict[tuple[str, ...], list[str]] = {}
        self._dirty: list[AssetState] = []
        self.judge = Judge(self._assets)

    def latest(self, asset: str) -> dict[str, LatestValue]:
        """Return the last value of each point of an asset."""
        state = self._assets.get(asset)
        return {} if state is None else state.latest()

    def assets_of(self, gateway: str) -> list[str]:
        """Return the things that this gateway was the last to report, sorted."""
        found = self._by_gateway.get(gateway, {})
        return sorted(name for name in found if scheme_of(name) not in ("gateway", "service"))

    def assets(self) -> Iterator[AssetState]:
        """Yield all assets; more may come while the caller reads on."""
        return iter(list(self._assets.values()))

    def alert(self, key: AlertKey) -> AlertState | None:
        """Return where an alert stands, None when it is idle."""
        asset, alert = self._assets.get(key[0]), key[1]
        if asset is None or asset.alerts is None:
            return None
        return asset.alerts.get(asset.kind.index.get(alert, -1))

    def take_dirty(self, count: int) -> list[tuple[str, bytes]]:
        """Return up to `count` assets whose values changed since they were last asked for."""
        taken, self._dirty = self._dirty[:count], self._dirty[count:]
        for asset in taken:
            asset.dirty = False
        return [(asset.asset, asset.pack()) for asset in taken]

    @property
    def dirty_count(self) -> int:
        """Assets that `take_dirty` would return."""
        return len(self._dirty)

    def restore_values(self, asset_id: str, raw: bytes) -> None:
        """Take the values of an asset back as they were stored."""
        asset = self._open(asset_id)
        if asset is not None:
            asset.unpack(raw)
            gateway, asset.gateway = asset.gateway, ""
            self._move_to_gateway(asset, gateway)

    def restore_alert(self, key: AlertKey, state: AlertState) -> None:
        """Take an alert back as it was stored; its rule must still be there."""
        asset = self._open(key[0])
        if asset is not None:
            self.judge.restore(asset, asset.kind.index[key[1]], state)

    def apply(
        self, reading: PlacedReadings, now_ms: int, *, trusted: bool = False, silent: bool = False
    ) -> None:
        """Merge readings and judge what they change.

        Args:
            reading: of one asset, its rows in any order of time.
            now_ms: the cloud's clock, for `Transition.at`.
            trusted: the cloud's own word; only that may set points which the cloud reports.
            silent: merge without judging, for what was judged before a restart.

        """
        asset = self._assets.get(reading.asset) or self._open(reading.asset)
        if asset is None:
            return
        if not _is_plain(asset.kind, reading, trusted=trusted):
            reading = _straighten(asset.kind, reading, trusted=trusted)
        if reading.time_unknown:
            if not silent:
                self.judge.judge_undated(asset, reading, now_ms)
            return
        if not self._merge_whole(asset, reading):
            columns = reading.columns()
            if self._merge_calm(asset, reading, columns):
                self._merge_rows(asset, reading, columns, now_ms, silent=silent)
        if reading.at[-1] >= asset.newest_at:
            asset.newest_at = reading.at[-1]
            if asset.gateway != reading.gateway:
                self._move_to_gateway(asset, reading.gateway)
        if not asset.dirty:
            asset.dirty = True
            self._dirty.append(asset)

    def _merge_whole(self, asset: AssetState, reading: PlacedReadings) -> bool:
        """Merge in one go a moment newer than all that is known that changes no input of a rule.

        So it is with nearly all readings; tell whether it was, else nothing is done.
        """
        at = reading.at
        if len(at) > 1 or reading.quality or asset.doubts or asset.alerts:
            return False
        kind, values = asset.kind, asset.values
        plan, new = kind.plan(reading.points), reading.flat
        if plan is None or None in new or at[0] <= asset.newest_at:
            return False
        known = new + values
        if len(values) < len(kind.columns) or plan.told(known) != plan.known(known):
            return False
        asset.values = merged = list(plan.merged(known))
        for column in plan.lists:
            if isinstance(value := merged[column], list):
                merged[column] = self._shared(value)
        asset.confirm_whole(plan.others, at[0], reading.seq)
        return True

    def _merge_calm(self, asset: AssetState, reading: PlacedReadings, values: Columns) -> bool:
        """Merge all that no rule can notice; tell whether the rest must be judged row by row."""
        kind, known, times, seqs = asset.kind, asset.values, asset.times, asset.seqs
        columns, watch, doubts, bad = kind.columns, kind.watch, asset.doubts, reading.quality
        last, seq, count = reading.at[-1], reading.seq, len(reading.at)
        eventful, same = asset.alerts is not None, []
        for name, rows in values.items():
            column = columns.get(name, -1)
            if column < 0 and (column := kind.column(name)) < 0:
                continue
            if column >= len(known):
                asset.grow()
            plain = not ((bad and name in bad) or (doubts and column in doubts))
            if column in watch:
                before = known[column]
                if not plain or before is None or rows.count(before) != count:
                    eventful = True
                else:
                    same.append(column)
                continue
            value = rows[-1]
            if value is None or not plain:
                self._put_rows(asset, column, rows, reading, bad.get(name))
            elif last > times[column] or (last == times[column] and seq >= seqs[column]):
                known[column] = self._shared(value) if isinstance(value, list) else value
                times[column], seqs[column] = last, seq
        if not eventful:
            asset.confirm(same, last, seq)
        return eventful

    def _put_rows(
        self,
        asset: AssetState,
        column: int,
        rows: Sequence[Value],
        reading: PlacedReadings,
        quality: Sequence[Quality] | None,
    ) -> None:
        for row, at in enumerate(reading.at):
            value = rows[row]
            if isinstance(value, list):
                value = self._shared(value)
            asset.put(column, at, reading.seq, value, quality[row] if quality else "good")

    def _merge_rows(
        self,
        asset: AssetState,
        reading: PlacedReadings,
        values: Columns,
        now_ms: int,
        *,
        silent: bool,
    ) -> None:
        """Merge the points that rules read, moment by moment, judging after each."""
        kind, seq = asset.kind, reading.seq
        watched = [
            (kind.columns[name], rows, reading.quality.get(name))
            for name, rows in values.items()
            if kind.columns.get(name, -1) in kind.watch
        ]
        for row, at in enumerate(reading.at):
            touched: set[int] = set()
            for column, rows, quality in watched:
                value = rows[row]
                if isinstance(value, list):
                    value = self._shared(value)
                if asset.put(column, at, seq, value, quality[row] if quality else "good"):
                    touched.update(kind.watch[column])
            if not silent and watched:
                self.judge.judge_news(asset, touched, at, reading.received_at, now_ms)
                if touched and kind.name in ("gateway", "service"):
                    self._spread(asset, at, reading.received_at, now_ms)

    def _spread(self, asset: AssetState, at: int, received_at: int, now_ms: int) -> None:
        """Judge what depends on a gateway or on the service, when its word changed."""
        if asset.asset == SERVICE_ASSET:
            for kind in kinds_watching(self._kinds, BROKER_CONNECTED):
                touched = set(kind.watch_outside[BROKER_CONNECTED])
                for other in kind.assets:
                    self.judge.judge_news(other, touched, at, received_at, now_ms, own=False)
            return
        gateway = asset.asset.partition(":")[2]
        for other in list(self._by_gateway.get(gateway, {}).values()):
            if other is not asset:
                touched = set(other.kind.watch_outside.get(GATEWAY_ONLINE, ()))
                self.judge.judge_news(other, touched, at, received_at, now_ms, own=False)

    def _shared(self, value: Sequence[str]) -> list[str]:
        """Return one list for all equal ones: the lists of decoded records must not be kept."""
        if len(value) > LIST_LENGTH_MAX:
            return list(value)
        key = tuple(value)
        found = self._lists.get(key)
        if found is None:
            if len(self._lists) >= LISTS_MAX:
                self._lists.clear()
            found = self._lists[key] = list(key)
        return found

    def _open(self, asset_id: str) -> AssetState | None:
        found = self._assets.get(asset_id)
        if found is not None:
            return found
        scheme = scheme_of(asset_id)
        kind = self._kinds.get(scheme)
        if kind is None:
            if len(self._kinds) >= KINDS_MAX:
                return None
            kind = self._kinds[scheme] = Kind(scheme, ())
        asset = self._assets[asset_id] = AssetState(asset_id, kind)
        kind.assets.append(asset)
        return asset

    def _move_to_gateway(self, asset: AssetState, gateway: str) -> None:
        self._by_gateway.get(asset.gateway, {}).pop(asset.asset, None)
        asset.gateway = gateway
        if gateway:
            self._by_gateway.setdefault(gateway, {})[asset.asset] = asset


def _is_plain(kind: Kind, reading: PlacedReadings, *, trusted: bool) -> bool:
    """Tell whether readings can be merged as they are: nearly always."""
    at = reading.at
    if at[-1] > reading.received_at + AHEAD_MAX_MS or (kind.cloud_only and not trusted):
        return False
    return len(at) == 1 or all(earlier <= later for earlier, later in pairwise(at))


def _straighten(kind: Kind, reading: PlacedReadings, *, trusted: bool) -> PlacedReadings:
    """Sort rows by time, bring times that run ahead back, leave out what only the cloud may say."""
    limit = reading.received_at + AHEAD_MAX_MS
    at = [one if one <= limit else reading.received_at for one in reading.at]
    order = sorted(range(len(at)), key=lambda i: (at[i], reading.at[i]))
    sorted_ = reading.rows(order)
    keep = {name for name in reading.points if trusted or name not in kind.cloud_only}
    points, flat = flattened({k: rows for k, rows in sorted_.columns().items() if k in keep})
    return msgspec.structs.replace(
        sorted_,
        at=[at[i] for i in order],
        points=points,
        flat=flat,
        quality={name: rows for name, rows in sorted_.quality.items() if name in keep},
    )
