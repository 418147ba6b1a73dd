"""Which registers to read in one go, and how else the same registers could be read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from protocols.catalog.point_map import Table

Span = tuple[int, int]
"""Offset and count of registers within a block."""
Signature = tuple[int, int]
"""Function code and data length: all by which a reply on a serial line tells its question."""

FUNCTIONS: dict[Table, int] = {
    "coil": 1,
    "discrete_input": 2,
    "holding_register": 3,
    "input_register": 4,
}
"""The only function codes that ever go to a lift controller."""
BITS_PER_READ_MAX = 2000
_PARTITIONS_TRIED_MAX = 2000


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Registers that are read together; compared by identity, so cheap as a key."""

    table: Table
    address: int
    count: int
    atoms: tuple[Span, ...] = field(repr=False)
    """What may not be torn apart: the registers of one value, sorted, without overlaps."""
    cuts: tuple[int, ...] = field(repr=False)
    """Offsets where a read may begin or end without tearing a value, 0 and `count` included."""

    def signature(self, count: int) -> Signature:
        """Return what the reply to a read of `count` from here looks like."""
        return signature(self.table, count)


def signature(table: Table, count: int) -> Signature:
    """Return function code and data length of a good reply."""
    return FUNCTIONS[table], (count + 7) // 8 if FUNCTIONS[table] <= 2 else count


def plan(
    spans: Iterable[tuple[Table, int, int]], *, registers_per_read_max: int, gap_max: int
) -> tuple[Block, ...]:
    """Cover (table, address, width) by the fewest reads.

    Up to `gap_max` registers that nobody asked for are read along. A value is never torn.
    """
    blocks: list[Block] = []
    by_table: dict[Table, list[Span]] = {}
    for table, address, width in spans:
        by_table.setdefault(table, []).append((address, width))
    for table in sorted(by_table):
        limit = registers_per_read_max
        if FUNCTIONS[table] <= 2:
            limit = min(BITS_PER_READ_MAX, 16 * registers_per_read_max)
        runs = _runs(_merge(by_table[table]), limit, gap_max)
        blocks.extend(_block(table, run) for run in runs)
    return tuple(blocks)


def single(table: Table, address: int, count: int) -> Block:
    """Return a block of registers of which nobody knows what belongs together."""
    return _block(table, [(address + offset, 1) for offset in range(count)])


def divide(block: Block) -> tuple[Block, ...]:
    """Cut a block that a device refused: first at its gaps, then in halves.

    Returns:
        The parts; none when the block is a single value.

    """
    atoms = [(block.address + start, width) for start, width in block.atoms]
    runs = list(_runs(atoms, BITS_PER_READ_MAX, 0))
    if len(runs) == 1:
        half = len(atoms) // 2
        runs = [atoms[:half], atoms[half:]] if half else []
    return tuple(_block(block.table, run) for run in runs)


def spread(blocks: Iterable[Block]) -> list[Block]:
    """Order blocks so that those whose replies look alike are not asked one after the other."""
    left, order = list(blocks), list[Block]()
    while left:
        shapes = [block.signature(block.count) for block in left]
        last = order[-1].signature(order[-1].count) if order else None
        ranks = [(shape == last, -shapes.count(shape)) for shape in shapes]
        order.append(left.pop(ranks.index(min(ranks))))
    return order


def partition(block: Block, unsafe: Callable[[Signature], bool]) -> tuple[Span, ...] | None:
    """Choose reads that together cover a block, none of which an old reply could match.

    The whole in one read where that is safe; else one register fewer and the rest in a second
    read, and so on, never beyond the block, never tearing a value.

    Returns:
        The reads in order, or None when no choice is safe.

    """
    for parts in islice(_partitions(block), _PARTITIONS_TRIED_MAX):
        shapes = {block.signature(count) for _, count in parts}
        if len(shapes) == len(parts) and not any(map(unsafe, shapes)):
            return parts
    return None


def around(block: Block, span: Span, unsafe: Callable[[Signature], bool]) -> Span | None:
    """Choose the shortest safe read within a block that covers `span`, or None."""
    low, high = span[0], span[0] + span[1]
    starts = [cut for cut in block.cuts if cut <= low]
    ends = [cut for cut in block.cuts if cut >= high]
    choices = sorted((end - start, start) for start in starts for end in ends)
    for count, start in choices:
        if not unsafe(block.signature(count)):
            return start, count
    return None


def _partitions(block: Block) -> Iterator[tuple[Span, ...]]:
    count = block.count
    yield ((0, count),)
    cuts = block.cuts[-2:0:-1]
    for cut in cuts:
        yield (0, cut), (cut, count - cut)
    for high in cuts:
        for low in cuts:
            if low < high:
                yield (0, low), (low, high - low), (high, count - high)


def _merge(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for address, width in sorted(spans):
        if merged and address < sum(merged[-1]):
            start = merged[-1][0]
            merged[-1] = (start, max(sum(merged[-1]), address + width) - start)
        else:
            merged.append((address, width))
    return merged


def _runs(atoms: list[Span], limit: int, gap_max: int) -> Iterator[list[Span]]:
    run: list[Span] = []
    for address, width in atoms:
        if run and (address - sum(run[-1]) > gap_max or address + width - run[0][0] > limit):
            yield run
            run = []
        run.append((address, width))
    if run:
        yield run


def _block(table: Table, run: list[Span]) -> Block:
    first = run[0][0]
    count = sum(run[-1]) - first
    atoms = tuple((address - first, width) for address, width in run)
    torn = {offset for start, width in atoms for offset in range(start + 1, start + width)}
    cuts = tuple(offset for offset in range(count + 1) if offset not in torn)
    return Block(table, first, count, atoms, cuts)
