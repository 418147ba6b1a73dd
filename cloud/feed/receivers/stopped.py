"""Receivers that were stopped: an alarm says which, until all of them are seen to."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select, update

from cloud.model.database import take_turn
from cloud.model.receiver import Receiver, StopReason
from cloud.model.receiver_tables import receiver
from cloud.model.transition import Change, Transition

Apply = Callable[[Connection, Sequence[Transition]], None]
"""The alarm desk's."""
ALERT, ASSET = "ReceiverStopped", "service:cloud"
TURN = "receivers"
NAMED_MAX = 10
_r = receiver.c


def stop(
    connection: Connection,
    *,
    one: Receiver,
    version: int,
    why: StopReason,
    apply: Apply,
    now_ms: int,
) -> None:
    """Stop a receiver that nobody changed meanwhile, and raise the alarm."""
    take_turn(connection, TURN)
    here = (_r.id == one.id, _r.version == version, _r.state == "active")
    values = {"state": "stopped", "why": why, "changed_at": now_ms}
    if connection.execute(update(receiver).where(*here).values(values)).rowcount:
        told = _stopped(connection)
        apply(connection, [_transition("fired" if len(told) == 1 else "upgraded", told, now_ms)])


def settle(connection: Connection, apply: Apply, now_ms: int) -> None:
    """End the alarm when no receiver is stopped any more; call it after one was seen to."""
    take_turn(connection, TURN)
    if not _stopped(connection):
        apply(connection, [_transition("resolved", [], now_ms)])


def _stopped(connection: Connection) -> list[str]:
    query = select(_r.name, _r.why).where(_r.state == "stopped").order_by(_r.changed_at.desc())
    return [f"{row.name} ({row.why})" for row in connection.execute(query.limit(NAMED_MAX))]


def _transition(change: Change, told: Sequence[str], now_ms: int) -> Transition:
    return Transition(
        asset=ASSET,
        alert=ALERT,
        severity="critical",
        change=change,
        at=now_ms,
        observed_at=now_ms,
        evidence=f"{len(told)}" if told else None,
        values={"receivers": ", ".join(told)},
        annotations={
            "summary": "A receiver of the feed was stopped",
            "summary_zh": "推送接收方已停止",
            "cause": "It said that it wants nothing more, it failed for days, or whoever set it up "
            "may no longer read the feed.",
            "cause_zh": "接收方表示不再接收，或连续数日推送失败，或设置人已无权接收。",
            "consequence": "It hears of no alarm and no rescue until somebody resumes it.",
            "consequence_zh": "恢复之前，该接收方收不到任何告警和救援信息。",
            "response": "Look at the page of receivers, speak to whoever runs it, then resume or "
            "delete it.",
            "response_zh": "查看“推送接收方”页面，联系其管理人，然后恢复或删除。",
        },
    )
