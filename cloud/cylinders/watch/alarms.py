"""New cases become alarms where their kind is one: a few a day and station, none an emergency."""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from cloud.cylinders.watch.cases import ASSET, Raised, known, raise_cases
from cloud.model.transition import Transition
from cloud.model.watch_tables import cylinder_case
from protocols.cylinders.watch import CaseKind, Watch

Apply = Callable[[Connection, Sequence[Transition]], None]
"""The alarm desk's."""


def alert_of(kind: CaseKind) -> str:
    """Return the name of a kind's alarm: `CylinderOverfilled`."""
    return "Cylinder" + "".join(part.capitalize() for part in kind.split("_"))


class CaseAlarms:
    """Puts cases on the lists, and those of a kind that is an alarm before the operators."""

    def __init__(self, watch: Watch, apply: Apply) -> None:
        self._watch, self._apply = watch, apply

    def raise_new(self, connection: Connection, raised: Sequence[Raised], now_ms: int) -> int:
        """Raise what never was; returns how many became alarms."""
        before = known(connection, raised)
        new = {one.key: one for one in raised if one.key not in before}
        chosen = self._choose(connection, list(new.values()), now_ms)
        raise_cases(connection, chosen, now_ms)
        alarms = [self._fired(one, now_ms) for one in chosen if one.alarm]
        if alarms:
            self._apply(connection, alarms)
        return len(alarms)

    def end(self, connection: Connection, kind: CaseKind, subject: str, now_ms: int) -> None:
        """End the alarm of a cylinder when no case of that kind is open any more."""
        case = cylinder_case.c
        query = select(case.id).where(
            case.kind == kind, case.subject == subject, case.alarm, case.open == "y"
        )
        if connection.execute(query.limit(1)).first() is None:
            resolved = Transition(
                asset=subject,
                alert=alert_of(kind),
                severity=self._watch.words(kind).alarm or "info",
                change="resolved",
                at=now_ms,
                observed_at=now_ms,
            )
            self._apply(connection, [resolved])

    def _choose(self, connection: Connection, new: Sequence[Raised], now_ms: int) -> list[Raised]:
        """Mark those that are to be alarms, as far as the day's number of their station goes."""
        counts = Counter[tuple[str, str]]()
        chosen = []
        for one in new:
            of = (one.entry.kind, one.station)
            words = self._watch.words(one.entry.kind)
            may = words.alarm is not None and one.subject.startswith(ASSET)
            if may and of not in counts:
                counts[of] = _alarms_of_day(connection, *of, now_ms)
            may = may and counts[of] < self._watch.alarms.a_day
            counts[of] += may
            chosen.append(replace(one, alarm=may))
        return chosen

    def _fired(self, one: Raised, now_ms: int) -> Transition:
        words = self._watch.words(one.entry.kind)
        return Transition(
            asset=one.subject,
            alert=alert_of(one.entry.kind),
            severity=words.alarm or "info",
            change="fired",
            at=now_ms,
            observed_at=now_ms,
            annotations={
                "summary": words.title,
                "summary_zh": words.title_zh,
                "response": words.acts,
                "response_zh": words.acts_zh,
            },
        )


def _alarms_of_day(connection: Connection, kind: str, station: str, now_ms: int) -> int:
    """Count the alarms of a kind at a station in the last 24 hours."""
    case = cylinder_case.c
    query = select(func.count()).where(
        case.station == station,
        case.kind == kind,
        case.alarm,
        case.raised_at > now_ms - 24 * 3_600_000,
    )
    return int(connection.execute(query).scalar_one())
