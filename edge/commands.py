"""Orders from the cloud: each is answered once, with a record in stream `alarm`."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from edge.timekeeper import Timekeeper
from protocols.errors import RefuseInput, RetryLater
from protocols.messages import Command, command_decoder

REMEMBERED_MAX = 256
"""A command delivered again within so many is not carried out again."""
ID_LENGTH_MAX = 128
UNDER_WAY_MAX = 8
"""Further commands are answered with `busy`."""
ANSWER_S = 30.0
RESULT_BYTES_MAX = 128 * 1024
"""A larger result is not sent: it would not fit into a batch."""

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Carries out an operation; its result goes into the reply. RefuseInput and RetryLater are told."""
Tell = Callable[[str, bool, dict[str, Any]], None]
"""(command id, ok, result)"""


class Commands:
    """Takes messages of `down/command`."""

    def __init__(
        self, operations: dict[str, Answer], *, timekeeper: Timekeeper, reply: Tell
    ) -> None:
        self._operations, self._timekeeper, self._reply = operations, timekeeper, reply
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._under_way: set[asyncio.Task[None]] = set()
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
        refusal = self._refusal(command)
        if refusal is not None:
            self._reply(command.id, False, refusal)
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(command))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _refusal(self, command: Command) -> dict[str, Any] | None:
        synced = self._timekeeper.stamp().clock == "synced"
        if synced and self._timekeeper.now_ms() > command.expires_at:
            return {"reason": "expired"}
        if command.op not in self._operations:
            known = ", ".join(sorted(self._operations))
            return {"reason": "unknown_op", "detail": f"expected one of {known}"}
        if len(self._under_way) >= UNDER_WAY_MAX:
            return {"reason": "busy", "detail": f"{UNDER_WAY_MAX} commands are under way"}
        return None

    async def _carry_out(self, command: Command) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                result = await self._operations[command.op](command.args)
            if len(msgspec.json.encode(result)) > RESULT_BYTES_MAX:
                raise RefuseInput("too_large", f"more than {RESULT_BYTES_MAX} bytes")
        except RefuseInput as error:
            self._reply(command.id, False, {"reason": error.reason, "detail": error.detail[:500]})
        except TimeoutError:
            self._reply(command.id, False, {"reason": "timeout"})
        except (RetryLater, OSError) as error:
            self._reply(command.id, False, {"reason": "failed", "detail": str(error)[:500]})
        else:
            self._reply(command.id, True, result)
