"""Rule tests as data: series in short notation, late and disordered arrival, expected changes.

A test file `<rule>.test.toml` lies beside `<rule>.toml`. A series has one sample each `interval`:
`true*3 false` is four of them, `_` is none, `null` is one without a value, `stale` one that the
gateway called stale; codes are written `[]` or `[02,90]`. Samples arrive when they were observed,
unless an `[[tests.arrivals]]` says otherwise. All changes of the alert must be listed.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from cloud.model.logged import PlacedReadings, flattened
from cloud.model.transition import Change
from cloud.rules.engine import Engine
from cloud.rules.judge import ONLINE, SERVICE_ASSET
from cloud.rules.load import TEST_SUFFIX, Duration, Text, duration_ms
from cloud.rules.rule import BROKER_CONNECTED, GATEWAY_ONLINE, Rule, RuleSet
from protocols.border import convert, read_toml
from protocols.catalog.points import Point, fits, load_points
from protocols.errors import Fault, FixConfiguration
from protocols.readings import Quality, Value

START_MS = 1_764_000_000_000
GATEWAY = "gw-test"
Case = Literal["fires", "ends_early", "missing_data", "out_of_order", "suppressed", "late", "other"]
_TOKEN = re.compile(r"(\[[^\]\s]*\]|[^\s*]+)(?:\*([0-9]{1,4}))?(?:\s+|$)")

Sample = tuple[Value, Quality] | None
"""None: nothing was reported."""


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """Samples observed in [from, to) that did not arrive at once."""

    from_: Duration = msgspec.field(name="from")
    to: Duration
    at: Duration | None = None
    """When they arrived; None: never."""
    points: tuple[str, ...] = ()
    """Only these; empty: all."""
    newest_first: bool = False
    time_unknown: bool = False


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the alert."""

    at: Duration
    change: Change
    evidence: str | None = None
    late: bool = False
    stale: bool = False


class RuleTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test."""

    about: Text
    case: Case
    series: dict[str, str]
    interval: Duration = "1s"
    until: Duration | None = None
    """Time goes on so far; by default to the last sample or arrival."""
    arrivals: tuple[Arrival, ...] = ()
    expect: tuple[Expected, ...] = ()


class RuleTests(msgspec.Struct, frozen=True, kw_only=True):
    """A test file."""

    schema: Literal[1]
    tests: tuple[RuleTest, ...]


class Delivery(msgspec.Struct, frozen=True):
    """Readings that arrive at one moment."""

    at: int
    reading: PlacedReadings
    trusted: bool


def find_tests(rule_file: Path) -> Path:
    """Return where the tests of a rule file are."""
    return rule_file.with_name(rule_file.stem + TEST_SUFFIX)


def load_tests(path: Path) -> RuleTests:
    """Read a test file.

    Raises:
        FixConfiguration: with all its faults.

    """
    faults: list[Fault] = []
    found = convert(read_toml(path), RuleTests, file=str(path), faults=faults)
    if faults or found is None:
        raise FixConfiguration(faults)
    return found


def run_test(rules: RuleSet, rule: Rule, test: RuleTest) -> list[Expected]:
    """Play a test and return what happened to the alert.

    Raises:
        ValueError: a series is not understood.

    """
    engine = Engine(rules)
    deliveries = sorted(_deliveries(rule, test), key=lambda one: one.at)
    end = deliveries[-1].at if deliveries else START_MS
    if test.until is not None:
        end = START_MS + duration_ms(test.until)
    for delivery in deliveries:
        _let_pass(engine, delivery.at - 1)
        engine.apply(delivery.reading, delivery.at, trusted=delivery.trusted)
    _let_pass(engine, end)
    return [
        Expected(
            at=_write_duration(one.at - START_MS),
            change=one.change,
            evidence=one.evidence if one.change in ("fired", "upgraded") else None,
            late=one.late,
            stale=one.stale,
        )
        for one in engine.judge.transitions
        if one.alert == rule.alert
    ]


def wanted(test: RuleTest) -> list[Expected]:
    """Return the expected changes, durations written as `run_test` writes them."""
    return [
        msgspec.structs.replace(one, at=_write_duration(duration_ms(one.at))) for one in test.expect
    ]


def _let_pass(engine: Engine, until: int) -> None:
    while engine.judge.next_due <= until:
        due = engine.judge.next_due
        engine.judge.fire_due(due, due)


def _deliveries(rule: Rule, test: RuleTest) -> Iterator[Delivery]:
    interval_ms = duration_ms(test.interval)
    by_asset: dict[str, dict[str, list[Sample]]] = {}
    for name, text in test.series.items():
        asset, point_name, point = _place(rule, name)
        by_asset.setdefault(asset, {})[point_name] = parse_series(text, point)
    # what the gateway and the service say of a moment is known before the device's word of it
    for asset in sorted(by_asset, key=lambda name: name.startswith(f"{rule.kind}:")):
        yield from _deliver_asset(asset, by_asset[asset], test, interval_ms)


def _deliver_asset(
    asset: str, series: Mapping[str, list[Sample]], test: RuleTest, interval_ms: int
) -> Iterator[Delivery]:
    steps = range(max(len(samples) for samples in series.values()))
    held: dict[int, list[Delivery]] = {}
    for step in steps:
        at = START_MS + step * interval_ms
        groups: dict[int | None, dict[str, tuple[Value, Quality]]] = {}
        for name, samples in series.items():
            sample = samples[step] if step < len(samples) else None
            if sample is not None:
                groups.setdefault(_arrival_of(test, name, at - START_MS), {})[name] = sample
        for index, values in groups.items():
            arrival = None if index is None else test.arrivals[index]
            if index is not None and arrival is not None:
                if arrival.at is not None:
                    held.setdefault(index, []).append(_delivery(asset, step, at, values, arrival))
            else:
                yield _delivery(asset, step, at, values, None)
    for index, deliveries in held.items():
        yield from reversed(deliveries) if test.arrivals[index].newest_first else deliveries


def _arrival_of(test: RuleTest, name: str, observed_ms: int) -> int | None:
    for index, arrival in enumerate(test.arrivals):
        inside = duration_ms(arrival.from_) <= observed_ms < duration_ms(arrival.to)
        if inside and (not arrival.points or name in arrival.points):
            return index
    return None


def _delivery(
    asset: str,
    step: int,
    observed_at: int,
    values: Mapping[str, tuple[Value, Quality]],
    arrival: Arrival | None,
) -> Delivery:
    at = observed_at
    if arrival is not None and arrival.at is not None:
        at = START_MS + duration_ms(arrival.at)
    time_unknown = arrival is not None and arrival.time_unknown
    points, flat = flattened({name: [value] for name, (value, _) in values.items()})
    reading = PlacedReadings(
        asset=asset,
        gateway="cloud" if asset == SERVICE_ASSET else GATEWAY,
        seq=step + 1,
        received_at=at,
        at=[at if time_unknown else observed_at],
        points=points,
        flat=flat,
        quality={name: [good] for name, (_, good) in values.items() if good != "good"},
        time_unknown=time_unknown,
    )
    return Delivery(at, reading, asset.startswith(("gateway:", "service:")))


def _place(rule: Rule, name: str) -> tuple[str, str, Point]:
    """Return (asset, point name, point) that a series of a test stands for."""
    own = {"gateway": f"gateway:{GATEWAY}", "service": SERVICE_ASSET}
    points = load_points(rule.kind)
    if name in points:
        return own.get(rule.kind, f"{rule.kind}:TEST"), name, points[name]
    if name == GATEWAY_ONLINE:
        return own["gateway"], ONLINE, load_points("gateway")[ONLINE]
    if name == BROKER_CONNECTED:
        return SERVICE_ASSET, name, load_points("service")[name]
    raise ValueError(f"series {name!r}: no point of kind {rule.kind}")


def parse_series(text: str, point: Point) -> list[Sample]:
    """Read a series in short notation.

    Raises:
        ValueError: a sample is none that the point can have.

    """
    samples: list[Sample] = []
    at = 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{point.name}: expected a sample, found {text[at : at + 20]!r}")
        samples += [_parse_sample(match[1], point)] * int(match[2] or 1)
        at = match.end()
    return samples


def _parse_sample(text: str, point: Point) -> Sample:
    if text == "_":
        return None
    if text in ("null", "stale"):
        return None, "no_value" if text == "null" else "stale"
    value: Value = text
    if point.type == "codes":
        value = [code for code in text.strip("[]").split(",") if code]
    elif text in ("true", "false"):
        value = text == "true"
    elif point.type in ("int", "float", "floor") and re.fullmatch(r"-?[0-9.]+", text):
        value = float(text) if "." in text else int(text)
    if not fits(point, value):
        raise ValueError(f"{point.name}: expected a {point.type}, found {text!r}")
    return value, "good"


def _write_duration(ms: int) -> str:
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"
