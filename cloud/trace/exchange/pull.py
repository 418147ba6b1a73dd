"""Fetching: page after page becomes a capture job, and the cursor follows what is settled.

After any end of the process the same pages are fetched again: the store knows their events by its
key, so none is there twice, and as the cursor moved past nothing unsettled, none is missing.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.principal import EVERYTHING
from cloud.trace.base import Captures, Job
from cloud.trace.exchange.base import Course, Partner, Pull, Pulling
from cloud.trace.exchange.remote import Failed, Page, Repository
from cloud.trace.exchange.rows import Hand, any_pulled_open, check_turn, insert_receipt, settle
from protocols.clock import Clock, iso, parse_time
from protocols.errors import RefuseInput

PAGES_AT_ONCE = 8
"""Fetched before their jobs are waited for."""
ROUNDS_MAX = 5
"""Of so many pages, then others have their turn; the chain goes on where it was."""
CHAIN_PAGES_MAX = 100_000
PART_EVENTS_MAX = 5_000
"""Of one capture; a page may have more."""
MOMENT_MAX_MS = 253_402_300_800_000
"""The year 10,000."""
JOB_WAIT_S, JOB_POLL_S = 30.0, 0.1
AGAIN_S = 2.0
"""Until it is looked again at jobs that take longer."""
SUBSCRIBED_TIMES = 10
"""So much rarer is it looked while a subscription brings what is new."""
_LIMITING = ("orderBy", "orderDirection", "eventCountLimit", "maxEventCount")
"""Of a named query; they would hide events that come with the next pages."""


class Puller:
    """Fetches for one partner at a time."""

    def __init__(self, database: Database, captures: Captures, clock: Clock) -> None:
        self._database, self._captures, self._clock = database, captures, clock

    async def run(self, hand: Hand, repository: Repository) -> None:
        """Fetch what is new, up to a bound.

        Raises:
            Failed: the other side's fault.
            Overtaken: stop.

        """
        pull = hand.partner.pull
        if pull is None:
            return
        for _ in range(ROUNDS_MAX):
            state = hand.partner.pulling
            if state.then is not None:
                fetched, jobs = state.then, state.jobs
            elif await self._under_way(hand.partner):
                await self._later(hand, state)
                return
            else:
                fetched, jobs = await self._fetch_whole(hand, pull, repository)
            ended = await self._ended(jobs)
            if ended is None:
                await self._later(hand, msgspec.structs.replace(state, then=fetched, jobs=jobs))
                return
            if (told := refusal(ended)) is not None:
                await self._later(hand, msgspec.structs.replace(state, then=None, jobs=()))
                raise Failed("bad_answer", told)
            await self._passed(hand, pull, fetched)
            if not fetched.next_url:
                return

    async def _under_way(self, partner: Partner) -> bool:
        """Tell whether something goes on that was fetched just before we ended."""
        partner_id = partner.partner_id
        return await self._database.read(lambda c: any_pulled_open(c, partner_id))

    async def _fetch_whole(
        self, hand: Hand, pull: Pull, repository: Repository
    ) -> tuple[Pulling, list[str]]:
        try:
            return await self._fetch(hand.partner, pull, repository)
        except Failed as failed:
            if not hand.partner.pulling.next_url or failed.kind not in ("gone", "refused"):
                raise
            # the chain broke: what of it surely came in order has been passed
            await hand.move(pulling=broken(hand.partner.pulling, self._clock.wall_ms()))
            return await self._fetch(hand.partner, pull, repository)

    async def _fetch(
        self, partner: Partner, pull: Pull, repository: Repository
    ) -> tuple[Pulling, list[str]]:
        """Fetch some pages and have them captured; return where that leads to, and the jobs."""
        state, jobs = partner.pulling, list[str]()
        parameters, extensions = await _asked(pull, repository)
        for _ in range(PAGES_AT_ONCE):
            begun = state.next_url or repository.events_url(first_page(parameters, pull, state))
            page = await repository.page(begun, extensions)
            known = page.digest == state.seen
            state = follow(state, page, pull.cursor, self._clock.wall_ms())
            if page.events and not known:
                jobs += await self._take(partner, page)
            if not state.next_url:
                break
        return state, jobs

    async def _take(self, partner: Partner, page: Page) -> list[str]:
        jobs = []
        for body, count in parts(page):
            capture_id = secrets.token_hex(16)

            def noted(connection: Connection, name: str = capture_id, events: int = count) -> None:
                check_turn(connection, partner)
                insert_receipt(
                    connection,
                    partner,
                    "pulled",
                    at_ms=self._clock.wall_ms(),
                    url=f"/epcis/capture/{name}",
                    events=events,
                    capture_id=name,
                )

            try:
                await self._captures.take(
                    body,
                    media_type="application/json",
                    behaviour="proceed",
                    by=partner.by,
                    organisation=partner.organisation,
                    capture_id=capture_id,
                    also=[noted],
                )
            except RefuseInput as error:
                raise Failed("busy", error.detail) from error
            jobs.append(capture_id)
        return jobs

    async def _ended(self, names: Sequence[str]) -> list[Job] | None:
        """Wait for jobs; None when some take long."""
        for _ in range(int(JOB_WAIT_S / JOB_POLL_S)):
            jobs = [await self._captures.job(name, scope=EVERYTHING) for name in names]
            if not any(job.running for job in jobs):
                return jobs
            await asyncio.sleep(JOB_POLL_S)
        return None

    async def _passed(self, hand: Hand, pull: Pull, fetched: Pulling) -> None:
        now_ms = self._clock.wall_ms()
        wait_s = 0 if fetched.next_url else interval_s(hand.partner, pull)
        course = Course(success_at_ms=now_ms)
        pulling = msgspec.structs.replace(fetched, course=course, then=None, jobs=())
        await hand.move(
            lambda c: settle(c, now_ms), pulling=pulling, pull_at_ms=now_ms + wait_s * 1000
        )

    async def _later(self, hand: Hand, state: Pulling) -> None:
        at_ms = self._clock.wall_ms() + int(AGAIN_S * 1000)
        await hand.move(pulling=state, pull_at_ms=at_ms)


def interval_s(partner: Partner, pull: Pull) -> int:
    """Return how long to wait after all was fetched."""
    works = bool(partner.subscribed.url) and not partner.subscribed.fault
    return pull.interval_s * SUBSCRIBED_TIMES if works else pull.interval_s


def first_page(parameters: Mapping[str, str], pull: Pull, state: Pulling) -> dict[str, str]:
    """Return the parameters by which a chain begins."""
    asked = {name: value for name, value in parameters.items() if name not in _LIMITING}
    least = f"GE_{pull.cursor}"
    cursor_ms = state.cursor_ms
    from_ms = pull.since_ms if cursor_ms is None else max(cursor_ms - pull.overlap_s * 1000, 0)
    if from_ms is not None:
        asked[least] = max(asked.get(least, ""), iso(from_ms), key=_moment)
    order = {"orderBy": pull.cursor, "orderDirection": "ASC", "perPage": str(state.size)}
    return {**asked, **order}


def follow(state: Pulling, page: Page, cursor: str, now_ms: int) -> Pulling:
    """Return how far fetching is when a page is settled.

    Args:
        state: before it.
        page: it.
        cursor: `recordTime` or `eventTime`.
        now_ms: a partner's clock that is ahead of it must not make us pass what is yet to come.

    Raises:
        Failed: the pages do not end.

    """
    if state.pages and page.next_url and page.digest == state.seen:
        raise Failed("bad_answer", "the same page comes again and again")
    if state.pages >= CHAIN_PAGES_MAX:
        raise Failed("bad_answer", f"more than {CHAIN_PAGES_MAX} pages")
    times = [_moment(one.get(cursor)) for one in page.events if type(one) is dict]
    known = [time for time in times if time]
    newest = max([*known, state.high_ms or 0]) or None
    ordered = state.ordered and known == times == sorted(times)
    ordered = ordered and (not times or state.high_ms is None or times[0] >= state.high_ms)
    after = msgspec.structs.replace(
        state,
        next_url=page.next_url,
        pages=state.pages + 1,
        high_ms=newest,
        ordered=ordered,
        seen=page.digest,
    )
    return after if page.next_url else _ended_at(after, newest, now_ms)


def broken(state: Pulling, now_ms: int) -> Pulling:
    """Return how far fetching is when a chain broke off."""
    return _ended_at(state, state.high_ms if state.ordered else None, now_ms)


def _ended_at(state: Pulling, high_ms: int | None, now_ms: int) -> Pulling:
    passed = [at for at in (state.cursor_ms, high_ms and min(high_ms, now_ms)) if at is not None]
    return msgspec.structs.replace(
        state,
        cursor_ms=max(passed, default=None),
        next_url="",
        pages=0,
        high_ms=None,
        ordered=True,
    )


def parts(page: Page) -> list[tuple[bytes, int]]:
    """Return a page as documents that a capture takes, and how many events each has."""
    events, whole = page.events, page.events[:]
    found = []
    for start in range(0, len(whole), PART_EVENTS_MAX):
        events[:] = whole[start : start + PART_EVENTS_MAX]
        try:
            found.append((msgspec.json.encode(page.document), len(events)))
        except RecursionError:
            raise Failed("bad_answer", "lists and objects too deep") from None
    events[:] = whole
    return found


def refusal(jobs: Sequence[Job]) -> str | None:
    """Return why a document was refused as a whole, None when none was."""
    for job in jobs:
        if not job.success and job.stored + job.duplicates + job.refused == 0:
            told = "{pointer}: expected {expected}, found {found}".format_map(job.faults[0])
            return f"the document was refused: {told}"[:300]
    return None


async def _asked(pull: Pull, repository: Repository) -> tuple[Mapping[str, str], str]:
    """Return the parameters of what is to be fetched, and the prefixes in them."""
    if not pull.query_name:
        return pull.parameters, pull.extensions
    return as_parameters(await repository.query(pull.query_name))


def as_parameters(query: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Return a named query as parameters of an address, and the header GS1-Extensions."""
    asked, prefixes = dict[str, str](), dict[str, str]()
    contexts = query.get("@context", [])
    for one in contexts if type(contexts) is list else [contexts]:
        if type(one) is dict:
            prefixes |= {name: url for name, url in one.items() if _in_header(name, url)}
    for name, value in query.items():
        if not name.startswith("@"):
            values = value if type(value) is list else [value]
            asked[name] = "|".join(_text(one) for one in values)
    return asked, ",".join(f"{name}={url}" for name, url in prefixes.items())


def _in_header(name: str, url: object) -> bool:
    return type(url) is str and all("!" <= c <= "~" and c not in ",=" for c in name + url)


def _text(value: Any) -> str:
    return value if type(value) is str else msgspec.json.encode(value).decode()


def _moment(text: object) -> int:
    """Return a time in ms, 0 for what is none that a cursor can be."""
    try:
        found = parse_time(text) if type(text) is str else 0
    except (RefuseInput, OverflowError):
        return 0
    return found if 0 <= found < MOMENT_MAX_MS else 0
