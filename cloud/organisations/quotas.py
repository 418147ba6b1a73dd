"""What an organisation may use, and what it does use."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Select, func, select

from cloud.model.database import Work, take_turn
from cloud.model.organisation import Organisation, Quota
from cloud.model.people_tables import account, api_key, device
from cloud.model.tables import asset_party
from cloud.organisations.kinds import load_kinds
from protocols.errors import RefuseInput

Count = Callable[[str, int], Select[Any]]
"""Builds the query that counts for an organisation, at a time in ms since 1970."""


def quotas_of(one: Organisation) -> dict[Quota, int]:
    """Return the bounds of its kind, and its own over them."""
    kind = load_kinds().get(one.kind)
    return {**(kind.quotas if kind else {}), **one.quotas}


def used(connection: Connection, organisation_id: str, now_ms: int) -> Mapping[Quota, int]:
    """Count what it uses of every quota."""
    return {
        quota: int(connection.execute(count(organisation_id, now_ms)).scalar_one())
        for quota, count in COUNTS.items()
    }


def room(organisation_id: str, quota: Quota, most: int | None, now_ms: int) -> Work:
    """Return what refuses, behind a write in its transaction, more than `most`.

    One transaction at a time counts, so that two together cannot pass where only one may.
    """

    def check(connection: Connection) -> None:
        if most is None:
            return
        take_turn(connection, f"quota {organisation_id}")
        count = COUNTS[quota](organisation_id, now_ms)
        if connection.execute(count).scalar_one() > most:
            raise RefuseInput("quota_reached", f"{quota}: at most {most}")

    return check


def _assets(organisation_id: str, _now_ms: int) -> Select[Any]:
    party = asset_party.c
    count = func.count(func.distinct(party.asset_id))
    return select(count).where(party.organisation == organisation_id)


def _accounts(organisation_id: str, _now_ms: int) -> Select[Any]:
    mine = account.c.organisation == organisation_id
    return select(func.count()).where(mine, account.c.state != "gone")


def _keys(organisation_id: str, now_ms: int) -> Select[Any]:
    good = (api_key.c.revoked_at.is_(None), api_key.c.expires_at > now_ms)
    return select(func.count()).where(api_key.c.organisation == organisation_id, *good)


def _devices(organisation_id: str, _now_ms: int) -> Select[Any]:
    mine = device.c.organisation == organisation_id
    return select(func.count()).where(mine, device.c.revoked_at.is_(None))


COUNTS: Mapping[Quota, Count] = {
    "assets_max": _assets,
    "accounts_max": _accounts,
    "keys_max": _keys,
    "devices_max": _devices,
}
