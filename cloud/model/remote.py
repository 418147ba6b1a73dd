"""Commands, pushed configurations and rollouts, as they are kept."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

CommandState = Literal["waiting", "sent", "done", "failed", "expired"]
ConfigState = Literal[
    "pending", "sent", "trying", "applied", "refused", "rolled_back", "superseded", "replaced"
]
RolloutState = Literal["running", "stopped", "done"]
MemberState = Literal["waiting", "sent", "accepted", "updated", "failed"]

OPEN_CONFIG: tuple[ConfigState, ...] = ("pending", "sent", "trying")
"""Nothing is known yet of what will come of it."""


class CommandEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A command with its answer."""

    id: str
    gateway_id: str
    op: str
    args: dict[str, Any]
    by: str
    created_at: int
    expires_at: int
    state: CommandState = "waiting"
    sent_at: int | None = None
    replied_at: int | None = None
    result: Any = None
    """Plain JSON data, as the gateway gave it."""


class ConfigPush(msgspec.Struct, frozen=True, kw_only=True):
    """A signed configuration and what became of it."""

    gateway_id: str
    version: int
    site_sha256: str
    by: str
    created_at: int
    not_after: int | None = None
    state: ConfigState = "pending"
    reason: str = ""
    """A closed word of the gateway."""
    detail: str = ""
    changed_at: int
    sent_at: int | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a gateway lately, for a page."""

    push: ConfigPush | None = None
    """The newest."""
    in_effect: int | None = None
    """Version of the configuration that it runs; None: its local file."""
    commands: list[CommandEntry] = []
    """Newest first."""


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A release on its way over the fleet."""

    id: int = 0
    serial: int
    version: str
    url: str
    """Where gateways fetch the wheels: `{url}/{name}`."""
    stages: tuple[Annotated[int, Meta(ge=1)], ...]
    """Gateways of each stage but the last, which takes the rest."""
    wait_s: int
    """Between a stage that went well and the next."""
    timeout_s: int
    """A gateway that was told and says nothing for so long has failed."""
    failures_max: int
    """One failure more stops the rollout."""
    state: RolloutState = "running"
    stage: int = 0
    stage_done_at: int | None = None
    reason: str = ""
    by: str
    created_at: int


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway of a rollout."""

    rollout_id: int
    gateway_id: str
    stage: int
    state: MemberState = "waiting"
    command_id: str = ""
    detail: str = ""
    changed_at: int
