"""Other sign-ons than our own, as the settings name them."""

from pathlib import Path

from cloud.audit.base import Audit
from cloud.oidc.desk import SignOnDesk
from cloud.oidc.people import People
from cloud.outbound.caller import Caller
from cloud.outbound.policy import read_policy
from cloud.roles.common import Common
from cloud.settings import OutboundSettings


def open_sign_on(common: Common, audit: Audit) -> SignOnDesk | None:
    """Return the desk of the sign-ons, None when the settings name none."""
    settings = common.settings
    if not settings.oidc:
        return None
    accounts, organisations = common.access.accounts, common.organisations
    return SignOnDesk(
        settings.oidc,
        base_url=settings.base_url,
        database=common.state_db,
        outbound=open_caller(settings.outbound),
        people=People(common.state_db, accounts, organisations, audit, common.clock),
        sessions=common.access,
        clock=common.clock,
    )


def open_caller(settings: OutboundSettings) -> Caller:
    """Return what calls out, to where the settings allow."""
    return Caller(
        read_policy(settings.ports, settings.allowed),
        timeout_s=settings.timeout_s,
        answer_bytes_max=settings.answer_bytes_max,
        ca_file=Path(settings.ca_file) if settings.ca_file else None,
    )
