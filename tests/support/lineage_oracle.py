"""Lineage as docs/lineage.md says it, slow and obvious; shares no code with the fast one.

A history is a list of `Happening`s; items are plain numbers. Times are whole numbers.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

EVER, NEVER = -(2**62), 2**62


@dataclass(frozen=True)
class Named:
    """An item that an event names."""

    role: str
    item: int
    by_class: bool = False
    quantity: float | None = None
    uom: str | None = None


@dataclass(frozen=True)
class Happening:
    """An event; one that `declares` is the same as the event that it declares wrong."""

    number: int
    time: int
    type: str
    action: str | None
    named: tuple[Named, ...]
    transformation: str | None = None
    declares: bool = False
    name: int = 0
    """Of the event: its declaration has the same."""


@dataclass(frozen=True)
class Span:
    """A child in a parent."""

    child: int
    parent: int
    lasting: bool
    by_class: bool
    since: int
    until: int
    missing_add: bool


@dataclass
class Answer:
    """What of an answer is compared."""

    nodes: dict[int, tuple[bool, int, int]] = field(default_factory=dict)
    transformations: dict[int, tuple[int, int]] = field(default_factory=dict)
    links: dict[tuple[object, ...], frozenset[str]] = field(default_factory=dict)
    steps: set[int] = field(default_factory=set)
    cut_items: int = 0
    beyond: int = 0


class History:
    """The live events, ready to be asked by hand."""

    def __init__(self, happenings: Iterable[Happening], voided: frozenset[int]) -> None:
        self.live = [h for h in happenings if not h.declares and h.number not in voided]
        self.spans = self._all_spans()
        self.transformations: dict[object, list[Happening]] = defaultdict(list)
        for one in self.live:
            if one.type == "TransformationEvent":
                self.transformations[one.transformation or one.number].append(one)

    def _all_spans(self) -> list[Span]:
        said: dict[tuple[int, int, bool, bool], list[tuple[int, str, Named | None]]] = {}
        for one in self.live:
            if one.type in ("AggregationEvent", "AssociationEvent"):
                lasting = one.type == "AssociationEvent"
                for parent in {n.item for n in one.named if n.role == "parent"}:
                    for child in (n for n in one.named if n.role == "child" and n.item != parent):
                        key = (child.item, parent, lasting, child.by_class)
                        assert one.action is not None
                        said.setdefault(key, []).append((one.time, one.action, child))
        return [span for key, words in said.items() for span in self._spans(key, words)]

    def _spans(
        self,
        key: tuple[int, int, bool, bool],
        words: list[tuple[int, str, Named | None]],
    ) -> list[Span]:
        by_class = key[3]
        emptied = {(one.time, "emptied", None) for one in self.live if self._empties(one, key)}
        spans: list[Span] = []
        since: int | None = None
        missing = False
        last_out = EVER
        count = _Count()
        words = sorted([*words, *emptied], key=lambda word: word[0])
        for time, together in groupby(words, key=lambda word: word[0]):
            heard = list(together)
            actions = {action for _, action, _ in heard}
            deleted = [named for _, action, named in heard if action == "DELETE"]
            added = [named for _, action, named in heard if action == "ADD"]
            if by_class and since is not None:
                actions = count.meant(actions, deleted)
            if actions & {"DELETE", "emptied"}:
                count = _Count()
            taken_out = "DELETE" in actions or (
                "emptied" in actions and ("OBSERVE" in actions or since is not None)
            )
            if "ADD" in actions:
                if since is None:
                    since, missing = time, False
                count.add(added)
            elif taken_out:
                begin, lacks = (last_out, True) if since is None else (since, missing)
                if begin < time:
                    spans.append(Span(*key, begin, time, lacks))
                since, last_out = None, time
            elif "OBSERVE" in actions and since is None:
                since, missing = last_out, True
                count.known = False
        if since is not None:
            spans.append(Span(*key, since, NEVER, missing))
        return spans

    @staticmethod
    def _empties(one: Happening, key: tuple[int, int, bool, bool]) -> bool:
        kind = "AssociationEvent" if key[2] else "AggregationEvent"
        roles = {n.role for n in one.named}
        parents = {n.item for n in one.named if n.role == "parent"}
        return (
            one.type == kind
            and one.action == "DELETE"
            and "child" not in roles
            and key[1] in parents
        )


class _Count:
    """How much of a class is inside."""

    def __init__(self) -> None:
        self.known, self.units, self.added, self.taken = True, set[str | None](), 0.0, 0.0

    def add(self, named: Sequence[Named | None]) -> None:
        for one in named:
            self._look(one)
            self.added += (one and one.quantity) or 0.0

    def take(self, named: Sequence[Named | None]) -> None:
        for one in named:
            self._look(one)
            self.taken += (one and one.quantity) or 0.0

    def _look(self, one: Named | None) -> None:
        assert one is not None
        self.known &= one.quantity is not None
        self.units.add(one.uom)

    def meant(self, actions: set[str], deleted: Sequence[Named | None]) -> set[str]:
        """Take some out: as long as more is inside it is no more than seen there."""
        if not deleted or "emptied" in actions:
            return actions
        self.take(deleted)
        return actions if self._all_out() else actions - {"DELETE"} | {"OBSERVE"}

    def _all_out(self) -> bool:
        enough = self.taken >= self.added * (1 - 1e-9)
        return self.known and len(self.units) <= 1 and enough


class Oracle:
    """One trace: rounds over all rules until the depth is used up or nothing changes."""

    def __init__(
        self,
        history: History,
        start: Sequence[int],
        *,
        back: bool,
        at: int | None,
        items: int = 10**9,
        depth: int = 10**9,
        horizon: int | None = None,
    ) -> None:
        self.history, self.back, self.limit = history, back, items
        self.horizon = horizon
        self.things: dict[int, int] = {}
        self.holders: dict[int, int] = {}  # back: of things too
        self.carried: set[tuple[int, int, int]] = set()
        self.opened: set[tuple[int, int, int]] = set()
        self.passed: dict[object, tuple[int, int]] = {}  # time, depth
        self.depths: dict[int, int] = {}
        self.cut: set[int] = set()
        self.late: set[object] = set()
        when = at if at is not None else NEVER if back else EVER
        first = _Found(back)
        for item in start:
            first.thing(item, when)
            if back:
                first.opened.add((item, EVER, when + 1))
        self._take(first, 0, room=True)
        step = 0
        while True:
            step += 1
            found = self._follow(step)
            if not self._take(found, step, room=step <= depth):
                break
            if step > depth:
                break

    def _within(self, time: int) -> bool:
        if self.horizon is None:
            return True
        return time >= self.horizon if self.back else time <= self.horizon

    def _better(self, one: int, other: int) -> bool:
        return one > other if self.back else one < other

    def _take(self, found: "_Found", step: int, *, room: bool) -> bool:
        new = {i: t for i, t in found.times().items() if i not in self.depths}
        order = sorted(new, key=lambda i: (-new[i] if self.back else new[i], i))
        free = self.limit - len(self.depths) if room else 0
        self.cut |= set(order[free:])
        if not room:
            return False
        for item in order[:free]:
            self.depths[item] = step
        changed = False
        for mine, theirs in ((self.things, found.things), (self.holders, found.held)):
            for item, time in theirs.items():
                known = item in self.depths
                if known and (item not in mine or self._better(time, mine[item])):
                    mine[item] = time
                    changed = True
        for known_, new_ in ((self.carried, found.carried), (self.opened, found.opened)):
            fresh = {row for row in new_ if row[0] in self.depths and row not in known_}
            changed |= bool(fresh)
            known_.update(fresh)
        return changed

    def _follow(self, step: int) -> "_Found":
        found = _Found(self.back)
        if self.back:
            self._transform_back(found, step)
            self._hold_back(found)
        else:
            self._transform_forward(found, step)
            self._carry_forward(found)
        return found

    def _put_in(self, item: int, time: int) -> bool:
        """Forward: the item's going in is followed."""
        return self._is_thing(item, time) or self._is_carrier(item, time)

    def _is_thing(self, item: int, time: int) -> bool:
        if item not in self.things:
            return False
        return time <= self.things[item] if self.back else time >= self.things[item]

    def _is_carrier(self, item: int, time: int) -> bool:
        return any(i == item and s <= time < e for i, s, e in self.carried)

    def _pass(self, key: object, times: list[int], step: int) -> int | None:
        """Note that a transformation is passed, the first or the last time; tell that time."""
        inside = [time for time in times if self._within(time)]
        if len(inside) < len(times):
            self.late.add(key)
        if not inside:
            return None
        best = max(inside) if self.back else min(inside)
        self.passed[key] = (best, self.passed[key][1] if key in self.passed else step)
        return best

    def _transform_forward(self, found: "_Found", step: int) -> None:
        for key, events in self.history.transformations.items():
            into = [(e, n) for e in events for n in e.named if n.role == "input"]
            when = self._pass(key, [e.time for e, n in into if self._put_in(n.item, e.time)], step)
            for event in events:
                for named in event.named:
                    if when is not None and named.role == "output" and event.time >= when:
                        self._thing(found, named.item, event.time)

    def _thing(self, found: "_Found", item: int, time: int) -> None:
        if self._within(time):
            found.thing(item, time)
        else:
            self.late.add(("item", item))

    def _carry_forward(self, found: "_Found") -> None:
        for span in self.history.spans:
            windows = [(s, e) for i, s, e in self.carried if i == span.child]
            if span.child in self.things:
                windows.append((self.things[span.child], NEVER))
            for since, until in windows:
                shared = (max(since, span.since), min(until, span.until))
                if shared[0] < shared[1]:
                    if self._within(shared[0]):
                        found.carried.add((span.parent, *shared))
                    else:
                        self.late.add(("item", span.parent))
            if span.parent in self.things and span.until > self.things[span.parent]:
                self._thing(found, span.child, max(span.since, self.things[span.parent]))

    def _transform_back(self, found: "_Found", step: int) -> None:
        for key, events in self.history.transformations.items():
            out = [(e, n) for e in events for n in e.named if n.role == "output"]
            times = [e.time for e, n in out if e.time <= self.holders.get(n.item, EVER - 1)]
            when = self._pass(key, times, step)
            for event in events:
                for named in event.named:
                    if when is not None and named.role == "input" and event.time <= when:
                        self._thing(found, named.item, event.time)
                        if self._within(event.time):
                            found.opened.add((named.item, event.time, event.time + 1))

    def _hold_back(self, found: "_Found") -> None:
        for span in self.history.spans:
            if span.child in self.holders and span.since <= self.holders[span.child]:
                until = min(span.until - 1, self.holders[span.child])
                if self._within(until):
                    found.hold(span.parent, until)
                else:
                    self.late.add(("item", span.parent))
            windows = [(s, e) for i, s, e in self.carried if i == span.child]
            if span.child in self.things:
                windows.append((EVER, self.things[span.child] + 1))
            for since, until in windows:
                shared = (max(since, span.since), min(until, span.until))
                if shared[0] < shared[1] and self._within(shared[1] - 1):
                    found.carried.add((span.parent, *shared))
            for item, since, until in self.opened:
                shared = (max(since, span.since), min(until, span.until))
                if item == span.parent and shared[0] < shared[1]:
                    self._thing(found, span.child, shared[1] - 1)
                    if self._within(shared[1] - 1):
                        found.opened.add((span.child, *shared))

    # --- the answer ---------------------------------------------------------------------------

    def answer(self) -> Answer:
        """Return what docs/lineage.md lists under "The answer"."""
        answer = Answer()
        for item, depth in self.depths.items():
            carrier = item not in self.things
            time = self._carrier_time(item) if carrier else self.things[item]
            answer.nodes[item] = (carrier, depth, time)
        for key, (time, depth) in self.passed.items():
            events = self.history.transformations[key]
            first = min(events, key=lambda e: (e.time, e.number))
            answer.transformations[first.number] = (depth, time)
            self._link_ends(answer, key, first.number, time)
        for span in self.history.spans:
            if self._follows(span):
                answer.links[_link(span)] = frozenset(self._why_span(span))
        self._cycles(answer)
        self._steps(answer)
        answer.cut_items = len(self.cut - set(self.depths))
        known = {("item", item) for item in self.depths} | set(self.passed)
        answer.beyond = len(self.late - known)
        return answer

    def _carrier_time(self, item: int) -> int:
        if self.back:
            return self.holders[item]
        return min(s for i, s, _ in self.carried if i == item)

    def _link_ends(self, answer: Answer, key: object, number: int, when: int) -> None:
        events = self.history.transformations[key]
        items = {
            role: {n.item for e in events for n in e.named if n.role == role}
            for role in ("input", "output")
        }
        many = all(len(side) > 1 for side in items.values())
        for event in events:
            if not self._within(event.time):
                continue
            for named in event.named:
                if named.item not in self.depths or named.role not in items:
                    continue
                reasons = {"class_level"} if named.by_class else set[str]()
                reasons |= {"many_to_many"} if many else set()
                if not self._follows_end(named, event, when, reasons):
                    continue
                link = (named.role, named.item, number, event.number)
                assert link not in answer.links
                answer.links[link] = frozenset(reasons)
                answer.steps.add(event.number)

    def _follows_end(self, named: Named, event: Happening, when: int, reasons: set[str]) -> bool:
        thing = self._is_thing(named.item, event.time)
        if self.back:
            if named.role == "output":
                reasons |= set() if thing else {"through_carrier"}
                return event.time <= self.holders.get(named.item, EVER - 1)
            if any(self._holds(span, named.item, event.time) for span in self.history.spans):
                reasons.add("through_carrier")
            return event.time <= when
        if named.role == "output":
            return event.time >= when
        reasons |= set() if thing else {"through_carrier"}
        return self._put_in(named.item, event.time)

    def _holds(self, span: Span, item: int, time: int) -> bool:
        return span.parent == item and span.since <= time < span.until and self._follows(span)

    def _follows(self, span: Span) -> bool:
        if not {span.child, span.parent} <= set(self.depths):
            return False
        found = _Found(self.back)
        all_spans, self.history.spans = self.history.spans, [span]
        late = set(self.late)
        if self.back:
            self._hold_back(found)
        else:
            self._carry_forward(found)
        self.history.spans, self.late = all_spans, late
        return bool(found.things or found.held or (found.carried and not self.back))

    def _why_span(self, span: Span) -> set[str]:
        reasons = {"class_level"} if span.by_class else set[str]()
        reasons |= {"missing_add"} if span.missing_add else set()
        if span.lasting or span.by_class:
            return reasons
        for other in self.history.spans:
            if other == span or other.child != span.child or other.lasting or other.by_class:
                continue
            if span.until == NEVER and other.since > span.since:
                reasons.add("missing_delete")
            elif other.until == NEVER and span.since > other.since:
                pass
            elif max(span.since, other.since) < min(span.until, other.until):
                reasons.add("two_parents")
        return reasons

    def _cycles(self, answer: Answer) -> None:
        spans = [span for span in self.history.spans if self._follows(span)]
        for span in spans:
            ways = {(span.parent, span.since, span.until)}
            while True:
                more = {
                    (above.parent, max(since, above.since), min(until, above.until))
                    for item, since, until in ways
                    for above in spans
                    if above.child == item and max(since, above.since) < min(until, above.until)
                }
                if more <= ways:
                    break
                ways |= more
            if any(item == span.child for item, _, _ in ways):
                answer.links[_link(span)] |= {"cycle"}

    def _steps(self, answer: Answer) -> None:
        for event in self.history.live:
            for named in event.named:
                counts = self._is_thing(named.item, event.time)
                counts = counts or self._is_carrier(named.item, event.time)
                if counts and named.item in self.depths and self._within(event.time):
                    answer.steps.add(event.number)


class _Found:
    """What one round proposes."""

    def __init__(self, back: bool) -> None:
        self.back = back
        self.things: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.carried: set[tuple[int, int, int]] = set()
        self.opened: set[tuple[int, int, int]] = set()

    def thing(self, item: int, time: int) -> None:
        self._best(self.things, item, time)
        if self.back:
            self.hold(item, time)

    def hold(self, item: int, time: int) -> None:
        self._best(self.held, item, time)

    def _best(self, times: dict[int, int], item: int, time: int) -> None:
        choose = max if self.back else min
        times[item] = choose(times.get(item, time), time)

    def times(self) -> dict[int, int]:
        """Return all items proposed, with the time that decides who comes in first."""
        times = dict(self.things)
        for item, time in self.held.items():
            self._best(times, item, time)
        if not self.back:
            for item, since, _ in self.carried:
                self._best(times, item, since)
        return times


def _link(span: Span) -> tuple[object, ...]:
    kind = "association" if span.lasting else "aggregation"
    return (kind, span.child, span.parent, span.since, span.until, span.by_class)
