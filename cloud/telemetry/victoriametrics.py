"""Telemetry in VictoriaMetrics (single node): the same lines, read by Prometheus calls.

It has numbers alone: a text is the label `text` of a series of its own, with value 1. It keeps 12
significant digits of a float, whole numbers up to 2 ** 53 exactly. It loses up to 10 s of what it
has answered when it is killed, so positions are noted 60 s behind what was sent.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from cloud.telemetry.day_files.layout import DAY_MS
from cloud.telemetry.day_files.queries import Entry, Window
from cloud.telemetry.day_files.rows import from_json
from cloud.telemetry.remote.book import Mark
from cloud.telemetry.remote.engine import Limits
from cloud.telemetry.remote.lines import (
    BOOL,
    FLOAT,
    INT,
    JSON,
    MARK,
    POSITION,
    VALUE_LETTERS,
    Dialect,
    tag_text,
)
from cloud.telemetry.remote.link import EngineAddress, Link
from protocols.clock import Clock
from protocols.errors import RefuseInput, RetryLater
from protocols.ids import scheme_of
from protocols.readings import Value

logger = logging.getLogger("suyuan.cloud.telemetry")

SETTLE_MS = 60_000
_MARKS = (("max", "position|sent", 8), ("min", "kept_to", 3_650), ("max", "dropped_before", 3_650))
"""Which marks, and how many days back; without a position the log is read from its beginning."""
SHOW_MS = 1_000
"""What other processes write is looked for so often."""
SPAN_MS = 600_000
"""Reads begin with a span of so much; it grows while little is found."""
TIME_MAX_MS = 9_223_372_036_853
_FIGURE = re.compile(r"^(process_start_time_seconds|vm_app_uptime_seconds) (\S+)$", re.MULTILINE)
_FLAG = re.compile(r'^flag\{name="([^"]+)", value="([^"]*)"', re.MULTILINE)
_PERIOD = re.compile(r"([0-9.]+)([hdwy]?)")
_PERIOD_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "y": 365, "": 31}


class _Exported(msgspec.Struct):
    metric: dict[str, str]
    values: list[float | None]
    timestamps: list[int]


class _Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Samples(msgspec.Struct):
    result: list[_Sample]


class _Answer(msgspec.Struct):
    data: _Samples


class _SeriesAnswer(msgspec.Struct):
    data: list[dict[str, str]]


_exported = msgspec.json.Decoder(_Exported)
_answer = msgspec.json.Decoder(_Answer)
_series_answer = msgspec.json.Decoder(_SeriesAnswer)


class VictoriaMetricsEngine:
    """See Engine; what was written in the last `settle_ms` a kill may lose."""

    settle_ms = SETTLE_MS

    def __init__(self, address: EngineAddress, *, clock: Clock, retention_days: int) -> None:
        self._link, self._place, self._clock = Link(address), address.place, clock
        self._retention_days = retention_days
        self.dialect = Dialect(
            int_max=2**53,
            float_min=1e-12,
            float_max=1e15,
            text_bytes_max=1_000,
            texts_in_tags=True,
            tags=f",db={tag_text(address.place)}",
        )
        self._fresh, self._shown_at = True, 0
        self._started = ""

    def write(self, body: bytes) -> None:
        """See Engine."""
        try:
            self._link.write(body)
        finally:
            self._fresh = True

    def run(self) -> str:
        """See Engine: the time of its start, in whole seconds.

        In its first second it is left alone, so that two starts never have the same one.
        """
        text = self._link.ask("GET", "/metrics", {}).decode(errors="replace")
        figures = dict(_FIGURE.findall(text))
        if float(figures.get("vm_app_uptime_seconds", 0)) < 1:
            raise RetryLater("VictoriaMetrics started just now, or something else answers there")
        started = str(figures.get("process_start_time_seconds"))
        if started != self._started:
            self._check_flags(dict(_FLAG.findall(text)))
        self._started = started
        return started

    def marks(self) -> list[Mark]:
        """See Engine."""
        found: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        for how, names, days in _MARKS:
            selector = f'{{__name__=~"{MARK}_({names})",db={_text(self._place)}}}'
            for sample in self._query(f"{how}_over_time({selector}[{days}d])"):
                name = sample.metric["__name__"].removeprefix(f"{MARK}_")
                key = (unquote(sample.metric["partition"]), int(sample.metric["generation"]))
                found[key][name] = int(float(sample.value[1]))
        return [
            Mark(partition=partition, generation=generation, **known)
            for (partition, generation), known in found.items()
        ]

    def mark_at(self, now_ms: int) -> int:
        """See Engine."""
        return now_ms

    def page(self, window: Window, size: int, limits: Limits) -> tuple[list[Entry], int | None]:
        """See Engine."""
        low, high = max(0, window.from_ms), min(window.to_ms, TIME_MAX_MS)
        found: list[Entry] = []
        span_ms = SPAN_MS
        while low < high and len(found) < size:
            end = min(low + span_ms, high)
            found += self._export(window, low, end, limits)
            low, span_ms = end, span_ms * 4
        return found, low if low < high else None

    def last_before(self, window: Window, limits: Limits) -> dict[str, Value]:
        """See Engine."""
        missing = set(self._points(window))
        found: dict[str, Value] = {}
        high, span_ms = min(window.to_ms, TIME_MAX_MS), SPAN_MS
        while missing and high > max(0, window.from_ms):
            low = max(0, window.from_ms, high - span_ms)
            here = {one.point: one.value for one in self._export(window, low, high, limits)}
            found |= {point: value for point, value in here.items() if point in missing}
            missing -= here.keys()
            high, span_ms = low, span_ms * 4
        return found

    def forget_before(self, ms: int) -> None:
        """See Engine; its own flag -retentionPeriod does that."""

    def settle(self) -> None:
        """See Engine; a snapshot brings all to the disk."""
        answer = msgspec.json.decode(
            self._link.ask("GET", "/snapshot/create", {}), type=dict[str, str]
        )
        if answer.get("status") != "ok":
            raise RetryLater(f"VictoriaMetrics made no snapshot: {answer}")
        self._link.ask("GET", "/snapshot/delete", {"snapshot": answer["snapshot"]})

    def close(self) -> None:
        """See Engine."""
        self._link.close()

    def _check_flags(self, flags: dict[str, str]) -> None:
        """Mind what would lose or double values without a word."""
        period = _PERIOD.fullmatch(flags.get("retentionPeriod", ""))
        if period and float(period[1]) * _PERIOD_DAYS[period[2]] < self._retention_days:
            raise RetryLater(
                f"start VictoriaMetrics with -retentionPeriod={self._retention_days}d or more"
            )
        if flags and flags.get("dedup.minScrapeInterval") != "1ms":
            logger.warning("start VictoriaMetrics with -dedup.minScrapeInterval=1ms")

    def _query(self, query: str) -> list[_Sample]:
        self._show_all()
        ahead_ms = self._clock.wall_ms() + DAY_MS  # so far the clock may have gone back
        fields = {"query": query, "time": _seconds(ahead_ms), "nocache": "1"}
        return _answer.decode(self._link.ask("GET", "/api/v1/query", fields)).data.result

    def _points(self, window: Window) -> Iterator[str]:
        self._show_all()
        fields = {
            "match[]": self._selector(window),
            "start": _seconds(max(0, window.from_ms)),
            "end": _seconds(min(window.to_ms, TIME_MAX_MS)),
        }
        start = len(scheme_of(window.asset)) + 1
        for metric in _series_answer.decode(self._link.ask("GET", "/api/v1/series", fields)).data:
            yield metric["__name__"][start:].rpartition(":")[0]

    def _selector(self, window: Window, *, more: str = "") -> str:
        points = "|".join(map(re.escape, window.points)) or ".+"
        kind = re.escape(scheme_of(window.asset))
        name = f"{kind}_(?:(?:{points}):[{VALUE_LETTERS}]{more})"
        return f"{{db={_text(self._place)},asset={_text(window.asset)},__name__=~{_text(name)}}}"

    def _export(self, window: Window, low: int, high: int, limits: Limits) -> list[Entry]:
        """Return all values with low <= observed_at < high, in order."""
        self._show_all()
        fields = {
            "match[]": self._selector(window, more=f"|{POSITION}" if limits else ""),
            "start": _seconds(max(0, low - 1)),
            "end": _seconds(high),
        }
        lines = self._link.ask("GET", "/api/v1/export", fields)
        series = _exported.decode_lines(lines)
        hidden = _hidden(series, limits)
        found: list[Entry] = []
        start = len(scheme_of(window.asset)) + 1
        for one in series:
            point, _, letter = one.metric["__name__"][start:].rpartition(":")
            if not point:
                continue
            gone, before = hidden[one.metric["log"]], -1
            text = unquote(one.metric.get("text", ""))
            for at, number in zip(one.timestamps, one.values, strict=True):
                if low <= at < high and at != before and at not in gone and number is not None:
                    found.append(Entry(at, 0, point, _value(letter, number, text)))
                before = at
        found.sort(key=lambda entry: entry.at)
        return found

    def _show_all(self) -> None:
        """Let questions see what was written just now; by itself it shows new series after 10 s."""
        now_ms = self._clock.boot_ms()
        if not self._fresh and now_ms - self._shown_at < SHOW_MS:
            return
        self._fresh, self._shown_at = False, now_ms
        try:
            self._link.ask("GET", "/internal/force_flush", {})
        except RefuseInput as error:
            logger.info("what is written shows later: %s", error)


def _hidden(series: list[_Exported], limits: Limits) -> dict[str, set[int]]:
    """Return, by tag `log`, the times of rows that no longer count."""
    hidden: dict[str, set[int]] = defaultdict(set)
    for one in series:
        limit = limits.get(one.metric["log"])
        if limit is not None and one.metric["__name__"].endswith(POSITION):
            pairs = zip(one.timestamps, one.values, strict=True)
            hidden[one.metric["log"]].update(
                at for at, position in pairs if (position or 0) > limit
            )
    return hidden


def _value(letter: str, number: float, text: str) -> Value:
    if letter == FLOAT:
        return number
    if letter == INT:
        return int(number)
    if letter == BOOL:
        return number != 0
    return from_json(text) if letter == JSON else text


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"


def _text(text: str) -> str:
    """Write a text as a string of PromQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
