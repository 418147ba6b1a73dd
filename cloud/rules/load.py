"""Rule files: TOML in the words of Prometheus, checked against the catalog."""

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cloud.model.alarm import Severity
from cloud.rules.expression import FUNCTIONS, Expression, literals
from cloud.rules.rule import OUTSIDE, Proof, Rule, RuleSet
from protocols.border import convert, read_toml
from protocols.catalog.files import data_files
from protocols.catalog.points import Point, kinds, load_points
from protocols.errors import Fault, FixConfiguration
from protocols.readings import Value

TEST_SUFFIX = ".test.toml"
DURATION = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
Duration = Annotated[str, Meta(pattern=DURATION, min_length=2, max_length=20)]
"""As in Prometheus: `20s`, `1m30s`, `500ms`."""
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Word = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
_UNITS_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """Labels of an alert."""

    severity: Severity


class Annotations(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator reads; no alarm without a response (ISA-18.2 rationalization)."""

    summary: Text
    summary_zh: Text
    cause: Text
    cause_zh: Text
    consequence: Text
    consequence_zh: Text
    response: Text
    response_zh: Text
    time_to_respond_s: Annotated[int, Meta(ge=1, le=2_592_000)]
    """So long has the operator before the consequence can no longer be averted."""

    @property
    def texts(self) -> dict[str, str]:
        """As an alarm carries them."""
        return {name: str(value) for name, value in msgspec.structs.asdict(self).items()}


class EvidenceText(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[evidence]]` table as written; several of one name are alternatives."""

    name: Word
    expr: Text
    for_: Duration = msgspec.field(default="0s", name="for")
    suppress_when: Text | None = None


class RuleText(msgspec.Struct, frozen=True, kw_only=True):
    """A rule file as written: one `expr`, or `[[evidence]]` from the weakest to the strongest."""

    schema: Literal[1]
    alert: Annotated[str, Meta(pattern="^[A-Z][A-Za-z0-9]{0,63}$")]
    kind: Word
    labels: Labels
    annotations: Annotations
    expr: Text | None = None
    for_: Duration = msgspec.field(default="0s", name="for")
    suppress_when: Text | None = None
    keep_firing_for: Duration = "0s"
    late_after: Duration = "2m"
    latch: bool = False
    """The alarm stands until somebody resets it, though the process is back to normal."""
    evidence: tuple[EvidenceText, ...] = ()


def load_rules(overlay: Path | None = None) -> RuleSet:
    """Read all rule files, the shipped ones and those of `overlay`.

    Raises:
        FixConfiguration: with all faults of all files.

    """
    faults: list[Fault] = []
    rules: dict[str, Rule] = {}
    for path in rule_files(overlay):
        rule = read_rule(path, faults)
        if rule is not None and rule.alert in rules:
            faults.append(
                Fault(str(path), "alert", "each alert in one file", f"{rule.alert} twice")
            )
        elif rule is not None:
            rules[rule.alert] = rule
    if faults:
        raise FixConfiguration(faults)
    return RuleSet(tuple(rules.values()))


def rule_files(overlay: Path | None = None) -> Iterator[Path]:
    """Yield the rule files, without their test files."""
    for path, _ in data_files("rules", overlay):
        if not path.name.endswith(TEST_SUFFIX):
            yield path


def read_rule(path: Path, faults: list[Fault]) -> Rule | None:
    """Read one rule file; on faults append them all and return None."""
    before = len(faults)
    try:
        text = convert(read_toml(path), RuleText, file=str(path), faults=faults)
    except FixConfiguration as error:
        faults.extend(error.faults)
        return None
    if text is None:
        return None
    points = _points_of(text.kind, str(path), faults)
    proofs = _read_proofs(text, points, str(path), faults)
    if text.latch and text.labels.severity == "emergency":
        expected = "false for an emergency: the confirmed release latches in its incident"
        faults.append(Fault(str(path), "latch", expected, "true"))
    if len(faults) > before:
        return None
    return Rule(
        alert=text.alert,
        kind=text.kind,
        severity=text.labels.severity,
        proofs=proofs,
        keep_firing_for_ms=duration_ms(text.keep_firing_for),
        late_after_ms=duration_ms(text.late_after),
        latch=text.latch,
        annotations=text.annotations.texts,
    )


def duration_ms(text: str) -> int:
    """Read a duration such as `1m30s` as milliseconds."""
    parts = re.findall(r"([0-9]+)(ms|h|m|s)", text)
    return sum(int(number) * _UNITS_MS[unit] for number, unit in parts)


def _points_of(kind: str, file: str, faults: list[Fault]) -> Mapping[str, Point] | None:
    if kind not in kinds():
        faults.append(Fault(file, "kind", f"one of {', '.join(kinds())}", repr(kind)))
        return None
    return load_points(kind)


def _read_proofs(
    text: RuleText, points: Mapping[str, Point] | None, file: str, faults: list[Fault]
) -> tuple[Proof, ...]:
    if (text.expr is None) == (not text.evidence):
        found = "neither" if text.expr is None else "both"
        faults.append(Fault(file, "expr", "expr, or [[evidence]] with an expr each", found))
        return ()
    common = _read_expression(text.suppress_when, points, file, "suppress_when", faults)
    if text.expr is not None:
        expr = _read_expression(text.expr, points, file, "expr", faults)
        if expr is None:
            return ()
        held = duration_ms(text.for_)
        return (Proof(name=None, expr=expr, for_ms=held, suppress_when=common),)
    if text.for_ != "0s" or text.suppress_when is not None:
        expected = "for and suppress_when inside each [[evidence]]"
        faults.append(Fault(file, "evidence", expected, "them beside it"))
    names = [one.name for one in text.evidence]
    if len([name for name, _ in groupby(names)]) > len(set(names)):
        expected = "those of one name beside each other, weakest first"
        faults.append(Fault(file, "evidence", expected, ", ".join(names)))
    found_proofs = [
        _read_evidence(one, points, file, f"evidence[{index}]", faults)
        for index, one in enumerate(text.evidence)
    ]
    return tuple(proof for proof in found_proofs if proof is not None)


def _read_evidence(
    text: EvidenceText,
    points: Mapping[str, Point] | None,
    file: str,
    key: str,
    faults: list[Fault],
) -> Proof | None:
    expr = _read_expression(text.expr, points, file, f"{key}.expr", faults)
    when = _read_expression(text.suppress_when, points, file, f"{key}.suppress_when", faults)
    if expr is None:
        return None
    return Proof(name=text.name, expr=expr, for_ms=duration_ms(text.for_), suppress_when=when)


def _read_expression(
    source: str | None,
    points: Mapping[str, Point] | None,
    file: str,
    key: str,
    faults: list[Fault],
) -> Expression | None:
    if source is None:
        return None
    try:
        expression = Expression(source)
    except ValueError as error:
        found = " ".join(str(error).split())
        faults.append(Fault(file, key, "an expression in CEL", found))
        return None
    if points is None:
        return None
    told = list(_faults_of(expression, points))
    faults += [Fault(file, key, expected, found) for expected, found in told]
    return None if told else expression


def _faults_of(expression: Expression, points: Mapping[str, Point]) -> Iterator[tuple[str, str]]:
    """Yield (expected, found) of what is wrong with the names, words and types used."""
    known = set(points) | set(OUTSIDE)
    unknown = sorted(expression.names - known)
    if unknown:
        yield f"only {', '.join(sorted(known))}", ", ".join(unknown)
    foreign = sorted(expression.functions - FUNCTIONS)
    if foreign:
        yield f"only the functions {', '.join(sorted(FUNCTIONS))}", ", ".join(foreign)
    for name, text in literals(expression.source):
        words = points[name].words if name in points else ()
        if words and text not in words:
            yield f"{name} to be one of {', '.join(words)}", repr(text)
    if not (expression.names or unknown):
        yield "an expression that reads some point", repr(expression.source)
    if unknown or foreign:
        return
    for pick in (0, -1):
        found = expression.trial({name: _sample(points, name, pick) for name in expression.names})
        if found is not None:
            yield "a true or false for every value of the points", found
            return


def _sample(points: Mapping[str, Point], name: str, pick: int) -> Value:
    point = points.get(name)
    if point is None or point.type == "bool":
        return pick == 0
    match point.type:
        case "word":
            return point.words[pick]
        case "codes":
            return list(point.words[:1]) if pick == 0 else []
        case "text":
            return "E41"
        case "float":
            return 0.5
        case _:
            return 1
