"""Orders from the cloud: each is answered once, with a record in stream `alarm`."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from edge.frames import Make
from edge.timekeeper import Timekeeper
from protocols.messages import Command, command_decoder
from protocols.records import Record, Reply

REMEMBERED_MAX = 256
"""A command delivered again within so many is not carried out again."""
ID_LENGTH_MAX = 128

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""Carries out an operation; its result goes into the reply."""


class Commands:
    """Takes messages of `down/command`."""

    def __init__(
        self,
        operations: dict[str, Answer],
        *,
        timekeeper: Timekeeper,
        reply: Callable[[Make], None],
    ) -> None:
        self._operations, self._timekeeper, self._reply = operations, timekeeper, reply
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.counters = {"commands": 0, "commands_refused": 0}

    def take(self, payload: bytes) -> None:
        """Carry out a command and reply; what is no command is counted."""
        try:
            command = command_decoder.decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            self.counters["commands_refused"] += 1
            return
        if not 1 <= len(command.id) <= ID_LENGTH_MAX:
            self.counters["commands_refused"] += 1
            return
        if command.id in self._seen:
            return
        self._seen[command.id] = None
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)
        self.counters["commands"] += 1
        ok, result = self._carry_out(command)

        def make(at: int) -> Record:
            return Reply(at=at, command_id=command.id, ok=ok, result=result)

        self._reply(make)

    def _carry_out(self, command: Command) -> tuple[bool, dict[str, Any]]:
        stamp = self._timekeeper.stamp()
        if stamp.clock == "synced" and self._timekeeper.now_ms() > command.expires_at:
            return False, {"reason": "expired"}
        operation = self._operations.get(command.op)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            return False, {"reason": "unknown_op", "detail": f"expected one of {known}"}
        return True, operation(command.args)
