"""The daily job: goes through the rules step by step, in slices that let everything else pass."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from cloud.model.audit import Entry
from cloud.model.data_rule import DataRule, DataRules, Step
from cloud.model.database import Database, Work
from cloud.model.retention import RetentionRun, StepReport
from cloud.retention.due import Due, Key
from cloud.retention.holds import read_holds
from cloud.retention.pseudonyms import Pseudonyms
from cloud.retention.runs import TakenOver, claim, last_run, save
from protocols.clock import Clock, iso
from protocols.errors import RetryLater

logger = logging.getLogger("suyuan.cloud")

BY, CALL = "system", "retention.run"
"""As the audit has it."""
KEYS_MAX = 5_000
"""Rows looked up at once, beside the writer."""
ROWS_MAX = 100
"""Of one transaction: an alarm that comes meanwhile waits for no more than these."""
PAUSE_S = 0.005
"""Between two transactions, and at least as long as the last one took."""
LOOK_S = 20.0

Elsewhere = Callable[[int], Awaitable[int | None]]
"""Carries out a step in a store's own way: before when (ms) -> how many went, None: uncounted."""
Pause = Callable[[float], Awaitable[None]]


class RetentionJob:
    """Carries out what the rules of data say. Killed anywhere, the next run goes on with it."""

    def __init__(
        self,
        *,
        rules: DataRules,
        databases: Mapping[str, Database],
        pseudonyms: Pseudonyms,
        clock: Clock,
        holds: Collection[str] = (),
        elsewhere: Mapping[str, Elsewhere] | None = None,
        after: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
        on_rows: Callable[[str, str, int], None] = lambda _rule, _do, _rows: None,
        on_end: Callable[[RetentionRun], None] = lambda _run: None,
        noted: Callable[..., Work] = lambda *_entries: lambda _connection: None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Make a job.

        Args:
            rules: what to carry out.
            databases: those that are here, by the names that rules use; `state` always is.
            pseudonyms: made of the key in the data folder.
            clock: tells what is due.
            holds: subjects such as `asset:elevator:3110…` of which nothing goes.
            elsewhere: by the word in a step's `by`; a word that is missing looks after itself.
            after: called once rows of the table of that name went.
            on_rows: told of (rule, action, rows) after each transaction.
            on_end: told of each run that ended.
            noted: returns what writes entries into the audit.
            pause: waits between two transactions, seconds.

        """
        self._rules, self._databases, self._clock = rules, databases, clock
        self._pseudonyms, self._pause = pseudonyms, pause
        self._on_rows, self._on_end, self._noted = on_rows, on_end, noted
        self._holds = read_holds(holds)
        self._elsewhere, self._after = elsewhere or {}, after or {}
        self._state = databases["state"]
        self._runner = secrets.token_hex(16)

    async def follow(self, zone: ZoneInfo, hour: int) -> None:
        """Run each day after `hour` in `zone`, and soon when that was missed; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                last = await self._state.read(last_run)
                if is_due(last, self._clock.wall_ms(), zone, hour):
                    await self.run()
            except (RetryLater, TakenOver) as error:
                logger.warning("retention: %s", error)

    async def run(self) -> RetentionRun:
        """Carry out all steps now; RetryLater when a database is away, TakenOver."""
        now_ms = self._clock.wall_ms()
        progress = _Progress(await self._state.write(lambda c: claim(c, self._runner, now_ms)))
        for rule, step in in_order(self._rules):
            before = progress.run.started_at - self._rules.term_ms(step)
            await self._carry_out(rule, step, before, progress)
        run = progress.ended(self._clock.wall_ms())
        noted = self._noted(*entries_of(run))
        await self._state.write(lambda c: save(c, run, self._runner), noted)
        self._on_end(run)
        rows = sum(one.rows for one in run.report)
        logger.info("retention: run %d ended, %d rows", run.id, rows)
        return run

    async def preview(self) -> Sequence[StepReport]:
        """Count what a run would do now, and change nothing."""
        found = []
        for rule, step in in_order(self._rules):
            before = self._clock.wall_ms() - self._rules.term_ms(step)
            report, database = self._report(rule, step, before), self._of(rule, step)
            if report.outcome == "done" and database is not None:
                due = self._due(rule, step, before)
                report = msgspec.structs.replace(report, rows=await database.read(due.count))
            found.append(report)
        return found

    async def _carry_out(
        self, rule: DataRule, step: Step, before: int, progress: "_Progress"
    ) -> None:
        progress.begin(self._report(rule, step, before))
        database = self._of(rule, step)
        if step.by in self._elsewhere and not self._spares(step):
            progress.add_elsewhere(await self._elsewhere[step.by](before))
        elif step.by == "job" and database is not None:
            await self._in_slices(self._due(rule, step, before), database, progress)
            if step.table in self._after:
                await self._after[step.table]()

    async def _in_slices(self, due: Due, database: Database, progress: "_Progress") -> None:
        changed = 1
        while changed and (keys := await database.read(lambda c: due.find(c, KEYS_MAX))):
            changed = 0  # when nothing of what was found is due any more, to look again is idle
            for start in range(0, len(keys), ROWS_MAX):
                began_ms = self._clock.boot_ms()
                rows = await self._slice(due, database, keys[start : start + ROWS_MAX], progress)
                changed += rows
                self._on_rows(due.rule.id, due.step.do, rows)
                await self._pause(max(PAUSE_S, (self._clock.boot_ms() - began_ms) / 1000))

    async def _slice(
        self, due: Due, database: Database, keys: Sequence[Key], progress: "_Progress"
    ) -> int:
        """Do some rows in one transaction; in the state, the count stands or falls with them."""

        def work(connection: Connection) -> int:
            rows = due.carry_out(connection, keys, self._pseudonyms)
            if database is self._state:
                save(connection, progress.plus(rows), self._runner)
            return rows

        rows = await database.write(work)
        progress.add(rows)
        if database is not self._state:
            await self._state.write(lambda c: save(c, progress.run, self._runner))
        return rows

    def _report(self, rule: DataRule, step: Step, before: int) -> StepReport:
        outcome = "done"
        if step.by != "job" and (step.by not in self._elsewhere or self._spares(step)):
            outcome = "held" if self._spares(step) else "elsewhere"
        elif step.by == "job" and self._of(rule, step) is None:
            outcome = "not_here"
        fields = {"rule": rule.id, "table": step.table, "do": step.do, "since": step.since}
        return msgspec.convert(fields | {"before": before, "outcome": outcome}, StepReport)

    def _of(self, rule: DataRule, step: Step) -> Database | None:
        kept = next(one for one in rule.table if one.name == step.table)
        return self._databases.get(kept.database)

    def _due(self, rule: DataRule, step: Step, before: int) -> Due:
        term_ms = self._rules.term_ms(step)
        return Due(rule, step, term_ms=term_ms, before=before, holds=self._holds)

    def _spares(self, step: Step) -> bool:
        """Tell whether a store that lets go of whole days must keep them for what is on hold."""
        on_hold = self._holds.get("asset") or self._holds.get("gateway")
        return step.by == "telemetry" and bool(on_hold)


class _Progress:
    """A run and its report, as far as they are."""

    def __init__(self, run: RetentionRun) -> None:
        self.run = run
        self._at = 0

    def begin(self, report: StepReport) -> None:
        """Go on with a step; what an earlier runner did of it counts."""
        known = list(self.run.report)
        for self._at, one in enumerate(known):
            if _names(one) == _names(report):
                known[self._at] = msgspec.structs.replace(report, rows=one.rows)
                break
        else:
            self._at = len(known)
            known.append(report)
        self.run = msgspec.structs.replace(self.run, report=tuple(known))

    def plus(self, rows: int) -> RetentionRun:
        """Return the run with so many rows more in the present step."""
        report = list(self.run.report)
        one = report[self._at]
        report[self._at] = msgspec.structs.replace(one, rows=one.rows + rows)
        return msgspec.structs.replace(self.run, report=tuple(report))

    def add(self, rows: int) -> None:
        """Count rows of the present step."""
        self.run = self.plus(rows)

    def add_elsewhere(self, rows: int | None) -> None:
        """Note what a store did in its own way."""
        self.run = self.plus(rows or 0)
        if rows is None:
            report = list(self.run.report)
            report[self._at] = msgspec.structs.replace(report[self._at], outcome="uncounted")
            self.run = msgspec.structs.replace(self.run, report=tuple(report))

    def ended(self, now_ms: int) -> RetentionRun:
        """Return the run, ended."""
        return msgspec.structs.replace(self.run, ended_at=now_ms)


def entries_of(run: RetentionRun) -> list[Entry]:
    """Return what the audit is told of a run that ended: each step that anything went by.

    Its counts were written with the rows that went, so a run that was cut off tells of all of them
    once it ends.
    """
    return [
        Entry(
            recorded_at=run.ended_at,
            by=BY,
            call=CALL,
            subject=f"data:{one.table}",
            detail={
                "what": one.do,
                "rule": one.rule,
                "rows": "uncounted" if one.outcome == "uncounted" else one.rows,
                "since": one.since,
                "before": iso(one.before),
                "run": run.id,
            },
        )
        for one in run.report
        if one.rows or one.outcome == "uncounted"
    ]


def in_order(rules: DataRules) -> list[tuple[DataRule, Step]]:
    """Return all steps: what goes with another row before that row, and what goes before the rest.

    To pseudonymise what is deleted a moment later would be idle.
    """
    steps = [(rule, step) for rule in rules.rules for step in rule.step]
    return sorted(steps, key=lambda one: (not one[1].of, one[1].do != "delete"))


def is_due(last: RetentionRun | None, now_ms: int, zone: ZoneInfo, hour: int) -> bool:
    """Tell whether a run is due: none since `hour` last struck, or one that did not end."""
    if last is None or not last.ended_at:
        return True
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    struck = datetime.combine(now.date(), time(hour), zone)
    if struck > now:
        struck = datetime.combine(now.date() - timedelta(days=1), time(hour), zone)
    return last.started_at < struck.timestamp() * 1000


def _names(report: StepReport) -> tuple[str, ...]:
    return report.rule, report.table, report.do, report.since
