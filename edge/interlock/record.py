"""From a step of a filling place to the record that travels. Pure."""

from edge.interlock.base import Entry
from protocols.cylinders.base import Id, Verdict
from protocols.records import Fill, FillReason, Override
from protocols.records import Verdict as ScanVerdict
from protocols.topics import Stream

FOUND_MAX = 256
REASONS_MAX = 64
_ALARMS = frozenset({"without_verdict", "stuck", "interrupted"})
_ALARM_FAULTS = frozenset(
    {"filled_against_verdict", "overfilled", "lighter_than_before", "check_failed"}
)


def stream_of(entry: Entry) -> Stream:
    """Tell in which stream it goes: what somebody must answer is an alarm."""
    alarm = entry.step in _ALARMS or bool(_ALARM_FAULTS.intersection(entry.faults))
    return "alarm" if alarm else "data"


def fill_record(
    entry: Entry, at: int, *, gate: str, filler: str, gas: Id, components: tuple[Id, ...] = ()
) -> Fill:
    """Write down a step; `at` is its time as the wire has it."""
    judged, overruled = entry.judged, entry.overruled
    verdict = None if judged is None else judged.verdict
    return Fill(
        gate=gate,
        at=at,
        number=entry.number,
        step=entry.step,
        opening=entry.opening,
        asset="" if judged is None else judged.code,
        codes=list(entry.codes)[:64],
        decision=None if verdict is None else verdict.decision,
        reasons=[] if verdict is None else _reasons(verdict),
        rules_version="" if verdict is None else verdict.rules_version,
        snapshot_version="" if judged is None else judged.snapshot,
        judged_on="" if judged is None or judged.on is None else judged.on.isoformat(),
        time_source="trusted" if judged is None else judged.clock,
        filler=filler,
        gas=gas,
        components=list(components),
        operator=entry.operator,
        checks=dict(entry.answers),
        override=None
        if overruled is None
        else Override(name=overruled.name, role=overruled.role, why=overruled.why),
        before_kg=entry.before_kg,
        after_kg=entry.after_kg,
        net_kg=entry.net_kg,
        limit_kg=None if judged is None else judged.gross_limit_kg,
        why=entry.why,
        faults=list(entry.faults),
    )


def scan_verdict(verdict: Verdict) -> ScanVerdict:
    """Write a verdict as the record of the scan has it."""
    return ScanVerdict(
        decision=verdict.decision,
        reasons=[one.reason for one in verdict.reasons],
        rules_version=verdict.rules_version,
    )


def _reasons(verdict: Verdict) -> list[FillReason]:
    return [
        FillReason(one.reason, one.decision, one.found[:FOUND_MAX])
        for one in verdict.reasons[:REASONS_MAX]
    ]
