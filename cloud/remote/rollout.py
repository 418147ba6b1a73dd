"""How a release goes over the fleet: a few gateways, then more, then the rest. Pure decisions."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from cloud.model.remote import Member, Rollout

ROLLOUTS = "rollouts"
"""Whoever reads and changes a rollout takes its turn of this."""
REST = 0
"""Stands for `all that are left` among the sizes of stages."""


class Step(NamedTuple):
    """What to do now."""

    rollout: Rollout
    changed: list[Member]
    send: list[Member]
    """Gateways to tell."""


def assign(gateways: Sequence[str], stages: Sequence[int], now_ms: int) -> list[Member]:
    """Share gateways out among the stages, in the order given; the last takes the rest."""
    members, index = [], 0
    for stage, size in enumerate([*stages, REST]):
        last = stage == len(stages)
        for gateway_id in gateways[index:] if last else gateways[index : index + size]:
            members.append(
                Member(rollout_id=0, gateway_id=gateway_id, stage=stage, changed_at=now_ms)
            )
            index += 1
    return members


def advance(
    rollout: Rollout, members: Sequence[Member], online: Collection[str], now_ms: int
) -> Step:
    """Decide what happens next in a rollout that runs.

    A gateway that is offline is told when it comes back, and holds no stage up; but a stage of
    which nobody was updated is not over. One failure too many stops everything.
    """
    changed = [_timed_out(one, rollout, now_ms) for one in members]
    overdue = [new for new, old in zip(changed, members, strict=True) if new is not old]
    failed = [one for one in changed if one.state == "failed"]
    if len(failed) > rollout.failures_max:
        reason = f"{len(failed)} failed: {', '.join(one.gateway_id for one in failed[:5])}"
        stopped = msgspec.structs.replace(rollout, state="stopped", reason=reason)
        return Step(stopped, overdue, [])
    due = [one for one in changed if one.stage <= rollout.stage and one.state == "waiting"]
    send = [one for one in due if one.gateway_id in online]
    if send:
        return Step(msgspec.structs.replace(rollout, stage_done_at=None), overdue, send)
    return Step(_next_stage(rollout, changed, now_ms), overdue, [])


def _next_stage(rollout: Rollout, members: Sequence[Member], now_ms: int) -> Rollout:
    under_way = [one for one in members if one.state in ("sent", "accepted")]
    if all(one.state in ("updated", "failed") for one in members):
        return msgspec.structs.replace(rollout, state="done")
    here = [one for one in members if one.stage == rollout.stage]
    proved = not here or any(one.state == "updated" for one in here)
    if under_way or not proved or rollout.stage >= len(rollout.stages):
        return rollout
    if rollout.stage_done_at is None:
        return msgspec.structs.replace(rollout, stage_done_at=now_ms)
    if now_ms - rollout.stage_done_at < rollout.wait_s * 1000:
        return rollout
    return msgspec.structs.replace(rollout, stage=rollout.stage + 1, stage_done_at=None)


def _timed_out(member: Member, rollout: Rollout, now_ms: int) -> Member:
    if member.state not in ("sent", "accepted"):
        return member
    if now_ms - member.changed_at <= rollout.timeout_s * 1000:
        return member
    return msgspec.structs.replace(member, state="failed", detail="no_answer", changed_at=now_ms)
