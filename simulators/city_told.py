"""What a city's run says at the terminal, in Chinese and English."""

from collections.abc import Mapping
from statistics import median

from simulators.city_desk import People
from simulators.city_gateways import Gateways
from simulators.city_ledger import Ledger, share_within
from simulators.city_world import World
from simulators.tell import Teller

RESPONSE_S, ARRIVAL_S = 180.0, 1_800.0
"""Published rates: answered within 3 minutes, arrived within 30."""


def tell_state(tell: Teller, world: World, people: People, gateways: Gateways) -> None:
    """Print how it stands."""
    hours = world.now_s / 3_600
    open_cases = len(people.open_cases())
    made = sum(1 for one in world.made if one.entrapment is not None)
    tell.say(
        f"已过 {hours:.1f} 小时：乘梯 {world.trips} 次，困人 {made} 起，处置中 {open_cases} 起",
        f"{hours:.1f} h: {world.trips} trips, {made} entrapments, {open_cases} rescues open, "
        f"{gateways.readings} readings, {gateways.unsettled()} batches not settled",
    )


def tell_ledger(
    tell: Teller,
    ledger: Ledger,
    world: World,
    people: People,
    gateways: Gateways,
    behind_s: float,
) -> None:
    """Print the account at the end."""
    tell.plain()
    rows: list[tuple[str, str, object]] = [
        ("乘梯", "trips", world.trips),
        ("其他故障", "other faults", world.faults),
        ("困人", "entrapments made", ledger.made),
        ("误按按钮", "buttons pressed for nothing", ledger.buttons),
        ("自行脱困", "of them freed by themselves", ledger.freed_by_themselves),
        ("未及上报即脱困", "of them ended before anybody could hear", ledger.unheard),
        ("救援单", "rescues opened", ledger.opened),
        ("已解救", "released", ledger.released),
        ("已结案", "closed", ledger.closed),
        ("误报", "false alarms", ledger.false_alarms),
        ("各级处置", "ended at level 1, 2, 3", _levels(ledger)),
        ("超时提醒", "deadlines that fell", _counts(ledger.deadlines)),
        ("超时提醒最迟", "the latest of them, ms late", ledger.deadline_late_ms),
        ("3 分钟响应率", "answered within 3 min", _share(ledger.response_s, RESPONSE_S)),
        ("30 分钟到场率", "arrived within 30 min", _share(ledger.arrival_s, ARRIVAL_S)),
        ("操作", "acts", _counts(people.done)),
        ("被拒绝的操作", "acts refused", _counts(people.refused)),
        ("读数", "readings, batches sent", f"{gateways.readings}, {gateways.batches}"),
        ("未确认", "not settled, lost", f"{gateways.unsettled()}, {gateways.lost}"),
        ("重发", "batches sent again", gateways.sent_again),
        ("落后最多", "behind at most, s", f"{behind_s:.2f}"),
        ("漏报", "lost", len(ledger.lost)),
        ("重复", "doubled", len(ledger.doubled)),
    ]
    for chinese, english, value in rows:
        tell.plain(f"  {english:42} {value}  （{chinese}）")


def _levels(ledger: Ledger) -> str:
    return ", ".join(str(ledger.levels[level]) for level in (1, 2, 3))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "0"


def _share(spans: list[float], limit_s: float) -> str:
    if not spans:
        return "none"
    middle = median(spans) / 60
    return f"{share_within(spans, limit_s):.1%} of {len(spans)}, median {middle:.1f} min"
