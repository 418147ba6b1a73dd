"""What gateways reply, matched with what was asked of them. A reply taken twice changes nothing."""

from collections.abc import Sequence
from typing import Any, get_args

import msgspec
from sqlalchemy import Connection

from cloud.model.logged import LoggedBatch
from cloud.model.remote import OPEN_CONFIG, ConfigState, Member, MemberState
from cloud.remote import rows
from protocols.limits import SEQ_MAX
from protocols.records import Reply

NAME, MARK = "remote", b'"reply"'
"""Of the follower that takes them."""
_CONFIG_STATES: tuple[str, ...] = get_args(ConfigState)
_MEMBER_STATES: dict[str, MemberState] = {"updated": "updated", "trying": "accepted"}


def take_replies(connection: Connection, batches: Sequence[LoggedBatch]) -> None:
    """Write down what the replies in batches say; those of no gateway are left alone."""
    for batch in batches:
        for _, record in batch.taken() if batch.spool else ():
            if isinstance(record, Reply):
                take_reply(connection, batch.gateway, record, batch.received_at)


def take_reply(connection: Connection, gateway_id: str, reply: Reply, received_at: int) -> None:
    """Write down what a reply says; one to nothing that was asked is left alone."""
    what, _, number = reply.command_id.partition(":")
    if what == "config" and _is_number(number):
        _take_config(connection, gateway_id, int(number), reply, received_at)
    elif what == "update" and _is_number(number):
        state = _MEMBER_STATES.get(_word(reply.result, "state"), "failed")
        for member in rows.members_of(connection, gateway_id, int(number)):
            if state != "accepted" or member.state == "sent":
                _set_member(connection, member, state, reply, received_at)
    else:
        _take_answer(connection, gateway_id, reply, received_at)


def _take_answer(connection: Connection, gateway_id: str, reply: Reply, received_at: int) -> None:
    entry = rows.read_command(connection, gateway_id, reply.command_id)
    if entry is None:
        return
    rows.set_command(
        connection,
        entry.id,
        state="done" if reply.ok else "failed",
        replied_at=received_at,
        result=msgspec.json.encode(reply.result).decode(),
    )
    member = rows.member_of_command(connection, entry.id)
    if member is not None and member.state == "sent":
        _set_member(connection, member, "accepted" if reply.ok else "failed", reply, received_at)


def _take_config(
    connection: Connection, gateway_id: str, version: int, reply: Reply, received_at: int
) -> None:
    state = _word(reply.result, "state")
    if state not in _CONFIG_STATES:
        return
    pushes = rows.read_pushes(connection, gateway_id, 100)
    push = next((one for one in pushes if one.version == version), None)
    if push is None or (state in ("trying", "refused") and push.state not in OPEN_CONFIG):
        return  # a late duplicate, or somebody sent the gateway an old document again
    rows.set_push(
        connection,
        gateway_id,
        version,
        state=state,
        reason=_word(reply.result, "reason")[:64],
        detail=_word(reply.result, "detail")[:2_000],
        changed_at=received_at,
    )


def _set_member(
    connection: Connection, member: Member, state: MemberState, reply: Reply, at: int
) -> None:
    detail = " ".join(filter(None, (_word(reply.result, key) for key in ("reason", "detail"))))
    rows.save_member(
        connection,
        msgspec.structs.replace(member, state=state, detail=detail[:500], changed_at=at),
    )


def _word(result: Any, key: str) -> str:
    found = result.get(key) if isinstance(result, dict) else None
    return found if isinstance(found, str) else ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 16 and 0 < int(text) <= SEQ_MAX
