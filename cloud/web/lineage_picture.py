"""A lineage as a picture: from left to right, what is alike folded into a fan."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from msgspec import Struct

from cloud.trace.lineage.base import LinkKind, NodeKind, Shown, ShownNode

FAN = 5
"""So many alike stand for themselves; more are folded."""
BOXES_MAX = 400
WIDTH, HEIGHT, GAP_X, GAP_Y = 200, 46, 70, 12
LABEL_CHARS = 24

Signature = tuple[NodeKind, str | None, tuple[tuple[LinkKind, int], ...]]


class Box(Struct, frozen=True, kw_only=True):
    """A node, or a fan of nodes that are linked alike."""

    kind: NodeKind
    x: int
    y: int
    node: ShownNode
    """The first of them."""
    number: int
    """Of that; by it the fan is opened."""
    count: int
    is_start: bool

    @property
    def label(self) -> str:
        """Return the end of its id, where ids of one kind differ."""
        text = (self.node.id or "").removeprefix("https://id.gs1.org/")
        return text if len(text) <= LABEL_CHARS else f"…{text[1 - LABEL_CHARS :]}"


class Line(Struct, frozen=True, kw_only=True):
    """Links between two boxes, as a path of SVG."""

    kind: LinkKind
    path: str
    count: int
    is_approximate: bool


class Picture(Struct, frozen=True, kw_only=True):
    """Boxes and lines with their places, in pixels."""

    width: int
    height: int
    boxes: list[Box]
    lines: list[Line]
    left_out: int
    """Boxes that are too many to draw."""


def draw(shown: Shown, opened: Collection[int]) -> Picture:
    """Lay a lineage out; `opened` are the numbers of fans to unfold."""
    columns = _columns(shown)
    owner = _fold(shown, columns, opened)
    members: dict[int, list[int]] = defaultdict(list)
    for node, first in enumerate(owner):
        members[first].append(node)
    drawn = sorted(members, key=lambda first: (columns[first], first))[:BOXES_MAX]
    rows = _rows(shown, owner, columns, drawn)
    last = max(columns, default=0)
    places = {
        first: _place(last - columns[first] if shown.direction == "back" else columns[first], row)
        for first, row in rows.items()
    }
    boxes = [
        Box(
            kind=shown.nodes[first].kind,
            x=places[first][0],
            y=places[first][1],
            node=shown.nodes[first],
            number=first,
            count=len(members[first]),
            is_start=shown.nodes[first].id in shown.start,
        )
        for first in drawn
    ]
    return Picture(
        width=(last + 1) * (WIDTH + GAP_X),
        height=(max(rows.values(), default=0) + 1) * (HEIGHT + GAP_Y) + GAP_Y,
        boxes=boxes,
        lines=_lines(shown, owner, places),
        left_out=len(members) - len(drawn),
    )


def _columns(shown: Shown) -> list[int]:
    """Return how far from the start each node stands: behind all that lead to it.

    What leads in a circle, as a cylinder that is filled again does, is drawn back.
    """
    columns = [2 * node.depth - (node.kind == "transformation") for node in shown.nodes]
    leads: dict[int, dict[int, int]] = defaultdict(dict)
    for link in shown.links:
        near, far = link.source, link.target
        depths = [shown.nodes[node].depth for node in (near, far)]
        if link.kind in ("aggregation", "association"):
            if depths[0] != depths[1]:
                near, far = (near, far) if depths[0] < depths[1] else (far, near)
                leads[near][far] = 2
        else:
            near, far = (far, near) if shown.direction == "back" else (near, far)
            leads[near][far] = 1
    for near in _in_order(leads, len(columns)):
        for far, apart in leads[near].items():
            columns[far] = max(columns[far], columns[near] + apart)
    return columns


def _in_order(leads: dict[int, dict[int, int]], count: int) -> list[int]:
    """Return all nodes, each before those that it leads to; drop what closes a circle."""
    done: list[int] = []
    state = dict.fromkeys(range(count), "new")
    for start in range(count):
        stack = [start] if state[start] == "new" else []
        while stack:
            node = stack[-1]
            if state[node] == "new":
                state[node] = "open"
                for far in [far for far in leads[node] if state[far] == "open"]:
                    del leads[node][far]
                stack += [far for far in leads[node] if state[far] == "new"]
                continue
            stack.pop()
            if state[node] == "open":
                state[node] = "done"
                done.append(node)
    return done[::-1]


def _fold(shown: Shown, columns: list[int], opened: Collection[int]) -> list[int]:
    """Return for each node the first node of the box that it is in."""
    nearer: dict[int, set[tuple[LinkKind, int]]] = defaultdict(set)
    for link in shown.links:
        near, far = sorted((link.source, link.target), key=lambda node: (columns[node], node))
        nearer[far].add((link.kind, near))
    owner = list(range(len(columns)))
    by_column: dict[int, list[int]] = defaultdict(list)
    for node, column in enumerate(columns):
        by_column[column].append(node)
    for column in sorted(by_column):
        alike: dict[Signature, list[int]] = defaultdict(list)
        for number in by_column[column]:
            one = shown.nodes[number]
            links = {(kind, owner[other]) for kind, other in nearer[number]}
            alike[one.kind, one.hidden_at, tuple(sorted(links))].append(number)
        for numbers in alike.values():
            if len(numbers) > FAN and numbers[0] not in opened:
                for number in numbers:
                    owner[number] = numbers[0]
    return owner


def _rows(
    shown: Shown, owner: list[int], columns: list[int], drawn: list[int]
) -> Mapping[int, int]:
    """Return the row of each box: beside what it is linked to, column after column."""
    nearer: dict[int, set[int]] = defaultdict(set)
    for link in shown.links:
        near, far = sorted((owner[link.source], owner[link.target]), key=lambda n: (columns[n], n))
        nearer[far].add(near)
    rows: dict[int, int] = {}
    by_column: dict[int, list[int]] = defaultdict(list)
    for first in drawn:
        by_column[columns[first]].append(first)
    for column in sorted(by_column):
        beside: dict[int, float] = {}
        for first in by_column[column]:
            known = [rows[one] for one in nearer[first] if one in rows]
            beside[first] = sum(known) / len(known) if known else 0.0
        free = 0
        for first in sorted(by_column[column], key=lambda one: (beside[one], one)):
            rows[first] = max(free, round(beside[first]))
            free = rows[first] + 1
    return rows


def _place(column: int, row: int) -> tuple[int, int]:
    return column * (WIDTH + GAP_X) + GAP_X // 2, row * (HEIGHT + GAP_Y) + GAP_Y


def _lines(shown: Shown, owner: list[int], places: Mapping[int, tuple[int, int]]) -> list[Line]:
    counts: dict[tuple[LinkKind, int, int], list[bool]] = defaultdict(list)
    for link in shown.links:
        source, target = owner[link.source], owner[link.target]
        if source in places and target in places:
            counts[link.kind, source, target].append(bool(link.approximate))
    return [
        Line(
            kind=kind,
            path=_path(places[source], places[target]),
            count=len(approximate),
            is_approximate=any(approximate),
        )
        for (kind, source, target), approximate in counts.items()
    ]


def _path(one: tuple[int, int], other: tuple[int, int]) -> str:
    """Return a curve from the right side of the box on the left to the left side of the other."""
    (x1, y1), (x2, y2) = sorted((one, other))
    begin, end = (x1 + WIDTH if x2 > x1 else x1), x2
    y1, y2 = y1 + HEIGHT // 2, y2 + HEIGHT // 2
    bend = max(20, abs(end - begin) // 2) if x2 > x1 else -30
    return f"M{begin} {y1}C{begin + bend} {y1} {end - abs(bend)} {y2} {end} {y2}"
