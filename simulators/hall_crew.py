"""The people at a filling place, and what became of each bottle that they had there."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocols.errors import StopService
from simulators.hall_panel import LOOK_S, Panel
from simulators.hall_place import FillingPlace
from simulators.hall_story import Outcome, Story, Visit

ANSWERABLE = frozenset(
    {
        *("check_open", "operator_unknown"),
        *("mass_unsettled", "scale_silent", "output_lost", "not_durable"),
    }
)
"""Reasons that a person answers, or that go away by waiting."""
VISIT_S = 180.0
"""A bottle of which nothing became by then is told as it stands; also a gateway that is away."""
FREE_S = 300.0
"""A place is free again by then, also where the gateway has yet to start."""
HOLDS_S = 5.0
"""A tag that was read in part is held still for so long, as the page says."""
OPERATOR, BOSS = "op-7", "m-1"
SCAN_S = 1.0
"""Whoever has scanned a label looks at the page after so long."""
STAMP = "as_registered"
"""The question whether it is as its record says."""
EARLY_KG = 1.0
"""So much has come when somebody takes a bottle off too early."""
BY_HAND_KG_S, BY_HAND_S = 4.0, 1.0


@dataclass
class Result:
    """What became of a visit."""

    visit: Visit
    outcome: Outcome | None = None
    """None: nothing in time."""
    reasons: set[str] = field(default_factory=set)
    """Those that were told last."""
    block: str = ""
    opened: int = 0
    """So often the gun's valve opened."""
    flowed_kg: float = 0.0
    """Gas that came out of the gun."""
    by_hand: bool = False
    """Somebody filled past the gun."""
    over_kg: float = 0.0
    """What is in it beyond what may be."""
    ended_s: float = 0.0
    """When it was taken away, by the loop's clock."""
    interrupted: int = 0
    """So often the gateway ended while the gun was open, or said so."""

    @property
    def fault(self) -> str:
        """Say what should not have happened; empty: all is as it must be."""
        expect = self.visit.expect
        told = f"{self.outcome} {self.block} ({', '.join(sorted(self.reasons)) or 'no reason'})"
        if self.flowed_kg > 0 and expect.outcome in {"refused", "undecided"}:
            return f"{self.flowed_kg:.2f} kg of gas came, and it was to be {expect.outcome}: {told}"
        if self.flowed_kg > 0 and self.over_kg > 0 and not self.by_hand:
            return f"{self.over_kg:.2f} kg too much is in it: {told}"
        if self.interrupted and "full_already" in self.reasons:
            return ""  # it was full when the gateway came back
        same = self.outcome == expect.outcome and self.block == expect.block
        if not same or not set(expect.reasons) <= self.reasons:
            wanted = f"{expect.outcome} {expect.block} ({', '.join(expect.reasons)})"
            return f"expected {wanted}, found {told}"
        return ""


class Crew:
    """Whoever works at one place; takes one bottle after another.

    Args:
        place: where.
        panel: the page that they press.
        story: which bottles there are, and how fast the carousel turns.
        tell: told of each bottle when it has left.

    """

    def __init__(
        self,
        place: FillingPlace,
        panel: Panel,
        story: Story,
        tell: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self._place, self._panel, self._story, self._tell = place, panel, story, tell
        self._id = place.place.id
        self.results: list[Result] = []

    async def work(self, visits: Sequence[Visit]) -> None:
        """Take all these bottles in turn.

        Raises:
            StopService: the place does not become free.

        """
        for visit in visits:
            await self._free()
            result = await self._visit(visit)
            self.results.append(result)
            self._tell(result)
            await asyncio.sleep(self._story.carousel_s)

    async def _free(self) -> None:
        """Wait until nothing is seen at the place any more; the boss clears it where need be."""
        end_s = asyncio.get_running_loop().time() + FREE_S
        while (seen := self._panel.gate(self._id)).get("show") != "idle":
            if seen.get("show") == "blocked":
                await self._panel.press(self._id, do="clear", person=BOSS)
            if asyncio.get_running_loop().time() > end_s:
                raise StopService(f"{self._id} does not become free: {seen}")
            await asyncio.sleep(LOOK_S)

    async def _visit(self, visit: Visit) -> Result:
        result, place = Result(visit), self._place
        number, bottle = self._story.bottle(visit.bottle)
        opened = place.opened
        place.put(number, bottle, visit.heel_kg)
        if visit.beside is not None:
            place.bring(*self._story.bottle(visit.beside))
        await self._stays(visit, result)
        result.flowed_kg = place.flowed_kg
        result.over_kg = place.kg - bottle.tare_kg - bottle.fill_kg if place.kg else 0.0
        place.take()
        result.opened = place.opened - opened
        result.ended_s = asyncio.get_running_loop().time()
        return result

    async def _stays(self, visit: Visit, result: Result) -> None:
        """Do what the page asks for until something has become of the bottle."""
        loop = asyncio.get_running_loop()
        end_s, since_s, last, labelled = loop.time() + VISIT_S, loop.time(), set[str](), False
        while result.outcome is None and loop.time() < end_s:
            await asyncio.sleep(LOOK_S)
            seen = self._panel.gate(self._id)
            if seen.get("show", "idle") == "idle":
                labelled = False  # a gateway that starts knows of none
                continue
            if visit.label is not None and not labelled:
                labelled = True
                await self._place.scan(self._story.bottle(visit.label)[0])
                await asyncio.sleep(SCAN_S)
                continue
            reasons = {one["id"] for one in seen["reasons"]}
            if reasons != last:
                since_s, last = loop.time(), reasons
            await self._look(seen, result, loop.time() - since_s)

    async def _look(self, seen: dict[str, Any], result: Result, stood_s: float) -> None:
        """Do what one does who sees this on the page."""
        show, operator = seen["show"], result.visit.operator
        if not seen["operator"]:
            await self._press("name", person=OPERATOR)
        if show == "blocked":
            await self._blocked(seen, result)
        elif show == "fill":
            if operator == "takes_off_early" and self._place.flowed_kg > EARLY_KG:
                self._place.take()
                result.outcome = "taken_off"
            elif operator == "tops_up" and self._place.flowed_kg > 0 and not result.by_hand:
                result.by_hand = True
                await self._by_hand()
        elif show == "done":
            await self._done(seen, result)
        else:
            await self._judged(seen, result, stood_s)

    async def _blocked(self, seen: dict[str, Any], result: Result) -> None:
        why = seen["blocked"]["id"]
        if why == "interrupted":
            result.interrupted += 1
            await self._press("clear", person=BOSS)
            await asyncio.sleep(2 * LOOK_S)
            return
        result.block, result.outcome = why, "blocked"

    async def _judged(self, seen: dict[str, Any], result: Result, stood_s: float) -> None:
        reasons = {one["id"] for one in seen["reasons"]}
        operator, result.reasons = result.visit.operator, reasons
        asked = [one["id"] for one in seen["checks"] if one["answer"] is None]
        refused = {"says_no": asked[:1], "reads_stamp": [one for one in asked if one == STAMP]}
        for check in refused.get(operator, ()):
            await self._press("answer", check=check, passed=False)
            return
        answers = reasons <= ANSWERABLE and operator != "no_answers"
        if answers:
            if asked:
                await self._press("all_passed")
            return
        if stood_s < (HOLDS_S if "tag_damaged" in reasons else self._story.carousel_s):
            return
        if operator == "opens_by_hand":
            result.by_hand = True
            await self._by_hand()
            await asyncio.sleep(1.0)
            return
        result.outcome = "refused" if seen["show"] == "do_not_fill" else "undecided"

    async def _done(self, seen: dict[str, Any], result: Result) -> None:
        """Answer what is asked after filling, and take it away."""
        if seen["checks"]:
            await self._press("all_passed")
        elif self._place.flowed_kg > 0 or result.interrupted:
            result.outcome = "filled"
        else:
            await self._press("again")

    async def _by_hand(self) -> None:
        """Let gas in past the gun."""
        self._place.by_hand_kg_s = BY_HAND_KG_S
        await asyncio.sleep(BY_HAND_S)
        self._place.by_hand_kg_s = 0.0

    async def _press(self, do: str, **more: object) -> None:
        await self._panel.press(self._id, do=do, **more)
