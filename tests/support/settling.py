"""A spool and the model cloud settle everything between them, as a gateway that got its link."""

from collections.abc import Iterator

from edge.spool.base import Spool
from edge.uplink.schedule import Schedule
from protocols.clock import ManualClock
from protocols.envelope import wrap
from tests.support.model_cloud import ModelCloud

ROUNDS_MAX = 3000


def settle_all(spool: Spool, cloud: ModelCloud, clock: ManualClock) -> Iterator[str]:
    """Send and acknowledge until nothing waits; yield what went wrong on the way."""
    schedule = Schedule(
        spool.id, held=spool.held(), last_seqs=spool.last_seqs(), declared=spool.declared()
    )
    schedule.link_up(clock.boot_ms())
    for ack in cloud.greet():
        schedule.acked(ack, clock.boot_ms())
    quiet = 0
    for _ in range(ROUNDS_MAX):
        clock.advance(200)
        while (choice := schedule.next(clock.boot_ms())) is not None:
            waiting = {stream for (_, stream), count in schedule.waiting().items() if count}
            flying = {line.stream for line in schedule._lines.values() if line.flying}
            if choice.key.stream == "data" and "alarm" in waiting - flying:
                yield f"data before alarms: {choice.key}"
            batch = choice.batch or spool.load(choice.key)
            if batch is None:
                schedule.gone(choice.key)
                continue
            payload = wrap(
                spool=batch.key.spool,
                seq=batch.key.seq,
                boot_id=batch.boot_id,
                clock=batch.clock,
                sent_at=clock.wall_ms(),
                records_raw=batch.records_raw,
            )
            schedule.pubacked(schedule.sent(choice.key, len(payload), clock.boot_ms()))
            cloud.take(batch.key.stream, payload)
        for ack in cloud.commit():
            schedule.acked(ack, clock.boot_ms())
        settled, lost = schedule.take_settled(), schedule.take_lost()
        schedule.committed(spool.append([], settled, lost), settled)
        quiet = 0 if spool.held() or spool.declared() or lost else quiet + 1
        if quiet > 40:  # longer than the time in which an ack of a greeting is waited for
            return
    yield f"not settled: {spool.held()[:3]} {spool.declared()[:3]}"
