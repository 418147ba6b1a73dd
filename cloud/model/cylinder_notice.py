"""Who is told of work lists of cylinders, by mail or by a call, and what is told."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from protocols.errors import RefuseInput

Channel = Literal["mail", "webhook"]
Language = Literal["zh", "en"]
NoticeState = Literal["waiting", "sent", "given_up"]
MAIL = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z"


class NoticeToBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where somebody wants to be told."""

    channel: Channel
    address: Annotated[str, Meta(min_length=3, max_length=2_000)]
    """Of mail, or the URL that is called."""
    language: Language = "zh"
    secret: Annotated[str, Meta(pattern=r"^[!-~]{16,128}\Z")] | None = None
    """Signs the calls of a webhook."""


def check_notice_to(body: NoticeToBody) -> None:
    """Refuse an address of mail that is none; RefuseInput `bad_request`."""
    if body.channel == "mail" and not re.match(MAIL, body.address):
        raise RefuseInput("bad_request", "address: expected one of mail")


class NoticeTo(Struct, frozen=True, kw_only=True):
    """An address that is told."""

    id: int
    organisation: str
    channel: Channel
    address: str
    language: Language
    signed: bool
    created_at: int
    told_at: int
    """When the last notice was made; 0: none was."""
    state: NoticeState | None = None
    """Of the last notice."""
    error: str = ""
    """Why it was not taken, if it was not."""


class Notice(Struct, frozen=True, kw_only=True):
    """What is told at a time: all that came since the notice before, in counts."""

    id: int
    organisation: str
    made_at: int
    day: str
    """Local."""
    new: Mapping[str, int]
    """New on the lists, by kind; of what is due by kind and stage, `due_30`."""
    open: Mapping[str, int]
    """All that stands there now."""
    urgent: tuple[str, ...] = ()
    """Subjects of what is urgent among the new, the first of them."""
    link: str = ""
    test: bool = False
    """Somebody tries the address: nothing is new."""
