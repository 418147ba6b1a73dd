"""The table of steps against a model of another make, alone and on a real database."""

import random
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from cloud.incidents.steps import STATES, TABLE, VERBS, next_state, possible
from cloud.model.incident import ENDED, Incident, IncidentState, Verb
from cloud.model.incident_tables import incident_entry
from protocols.errors import RefuseInput
from tests.support.rescues import LIFT, OTHER, open_centre, operator, worker
from tests.support.state_database import open_state

ORDER = ("detected", "verified", "dispatched", "accepted", "on_the_way", "arrived", "released")
STEP = {"accept": "accepted", "set_out": "on_the_way", "arrive": "arrived", "release": "released"}
DESK = ("verify", "dispatch", "take", "hand_over", "tell", "call_back", "file_cause")
END = {
    "close": "closed",
    "false_alarm": "false_alarm",
    "cancel": "cancelled",
    "merge": "merged",
}


def model(state: str, verb: str) -> str | None:
    """Say in sentences rather than in a table what may be done."""
    if verb == "note":
        return state
    if verb in END:
        if state == END[verb]:
            return state
        may = state == "released" if verb == "close" else state in ORDER[:-1]
        return END[verb] if may else None
    if state not in ORDER:  # it has ended
        return state if state == "closed" and verb in ("call_back", "file_cause") else None
    return at_the_desk(state, verb) if verb in DESK else on_the_road(state, verb)


def at_the_desk(state: str, verb: str) -> str | None:
    place = ORDER.index(state)
    if verb in ("verify", "dispatch"):
        after = "dispatched" if verb == "dispatch" else ORDER[max(place, 1)]
        return None if state == "released" else after
    if verb in ("call_back", "file_cause"):
        return (
            state
            if place >= ORDER.index("released" if verb == "call_back" else "arrived")
            else None
        )
    return state


def on_the_road(state: str, verb: str) -> str | None:
    place = ORDER.index(state)
    if verb == "release":
        return "released"
    if place < ORDER.index("dispatched") or state == "released":  # nobody is asked
        return None
    if verb == "refuse":
        return "verified" if state != "arrived" else None
    return ORDER[max(place, ORDER.index(STEP[verb]))]


@pytest.mark.parametrize(("state", "verb"), list(product(STATES, VERBS)))
def test_table_is_as_the_model_says(state: IncidentState, verb: Verb) -> None:
    assert next_state(state, verb) == model(state, verb)


def test_no_walk_leaves_an_end_and_every_state_can_be_reached() -> None:
    assert set(TABLE) == set(get_args(Verb))
    reached = {"detected"}
    while True:
        more = {after for verb in VERBS for state in reached if (after := model(state, verb))}
        if more <= reached:
            break
        reached |= more
    assert reached == set(STATES)
    for state, verb in product(ENDED, VERBS):
        assert next_state(state, verb) in (None, state)


@pytest.mark.parametrize("state", STATES)
def test_what_is_offered_may_be_done(state: IncidentState) -> None:
    one = Incident(
        id=1,
        number="",
        asset=LIFT,
        state=state,
        source="call",
        detected_at=1,
        changed_at=1,
        operator="李四",
    )
    offered = possible(one)
    assert len(set(offered)) == len(offered)
    assert all(next_state(state, verb) is not None for verb in offered)
    assert "note" in offered


async def test_random_walks_on_a_database_agree_with_the_model(tmp_path: Path) -> None:
    """Whatever is done in whatever order: what is refused changes nothing, what is done tells."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    centre = await open_centre(open_state(f"sqlite:///{tmp_path / 'walk.db'}"))
    await centre.lift()
    await centre.lift(OTHER)
    target = await centre.call(asset=OTHER)
    fields: dict[Verb, dict[str, object]] = {
        "release": {"people": 1},
        "refuse": {"note": "x"},
        "false_alarm": {"note": "x"},
        "cancel": {"note": "x"},
        "merge": {"into": target.id},
        "file_cause": {"cause": "door"},
    }
    steps = 0
    while steps < 300:
        one = await centre.call(asset=LIFT)
        assert one.state == "detected"
        for _ in range(rng.randrange(4, 25)):
            steps += 1
            centre.clock.advance(rng.randrange(1, 50_000))
            verb = rng.choice(VERBS)
            extra = {"note": {"note": str(steps)}, "tell": {"to": str(steps)}}
            extra["hand_over"] = {"to": str(steps)}
            given = {**fields.get(verb, {}), **extra.get(verb, {})}
            by = rng.choice([operator(), operator("赵六"), worker("firm-a")])
            before, lines = await centre.desk.get(one.id), len(await centre.record(one))
            try:
                after = await centre.act(one, verb, by, **given)
            except RefuseInput:
                assert await centre.desk.get(one.id) == before
                assert len(await centre.record(one)) == lines
                continue
            wrote = len(await centre.record(one)) - lines
            assert after.version == before.version + (1 if wrote else 0)
            if wrote:
                expected = model(before.state, verb)
                escalated = verb == "refuse" and after.state == "dispatched"
                assert after.state == expected or escalated, (before.state, verb, after.state)
            if not after.open:
                assert after.ended_at is not None
                assert all(item.settled_at for item in after.deadlines)
        left = await centre.desk.get(one.id)
        if left.open and left.state == "released":
            await centre.act(one, "close", cause="door")
        elif left.open:
            await centre.act(one, "cancel", note="x")
    entries = centre.rows(incident_entry)
    assert len(centre.feed) == len(entries)
    assert len(await centre.open()) <= 1  # a walk may have ended what others were merged into
    centre.database.close()
