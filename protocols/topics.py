"""MQTT topic names and filters of version 1 (design 3)."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from protocols.errors import RefuseInput
from protocols.ids import GATEWAY_ID, shard_of

Stream = Literal["alarm", "data"]
STREAMS: tuple[Stream, ...] = ("alarm", "data")
ROOT = "suyuan/v1"
TOPICS_KNOWN_MAX = 65_536
_TOPIC = re.compile(rf"{ROOT}/([0-9a-f]{{2}})/([^/]+)/(up/(?:alarm|data)|state)")


class Topic(NamedTuple):
    """A topic name from a gateway, taken apart and checked."""

    shard: str
    gateway_id: str
    leaf: Literal["up/alarm", "up/data", "state"]


@lru_cache(maxsize=TOPICS_KNOWN_MAX)
def of(gateway_id: str, leaf: str) -> str:
    """Build the topic name of a gateway's leaf, such as `up/alarm` or `down/ack`."""
    return f"{ROOT}/{shard_of(gateway_id)}/{gateway_id}/{leaf}"


@lru_cache(maxsize=TOPICS_KNOWN_MAX)
def parse(topic: str) -> Topic:
    """Take a gateway's topic name apart; the good ones are remembered, for they come all day.

    Raises:
        RefuseInput: `bad_topic`, `bad_gateway_id` or `wrong_shard`.

    """
    match = _TOPIC.fullmatch(topic)
    if not match:
        raise RefuseInput("bad_topic", f"found {topic[:120]!r}")
    shard, gateway_id, leaf = match.groups()
    if not GATEWAY_ID.fullmatch(gateway_id):
        raise RefuseInput("bad_gateway_id", f"found {gateway_id[:80]!r}")
    if shard != shard_of(gateway_id):
        raise RefuseInput(
            "wrong_shard", f"expected {shard_of(gateway_id)} for {gateway_id}, found {shard}"
        )
    return Topic(shard, gateway_id, leaf)  # type: ignore[arg-type]  # the pattern allows no other
