"""What the authority knows of a gateway."""

import msgspec


class CertificateInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of a gateway; times in ms since 1970."""

    serial: str
    issued_at: int
    expires_at: int
    revoked_at: int | None
    reason: str | None
    """Why it was revoked: `revoked`, `replaced` by an enrolment, `superseded` by a renewal."""


class GatewayIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that was invited."""

    gateway_id: str
    invited_until_at: int | None
    """None: no code waits to be used."""
    certificates: list[CertificateInfo]
    """Newest first."""

    @property
    def current(self) -> CertificateInfo | None:
        """The newest certificate that is not revoked."""
        return next((one for one in self.certificates if one.revoked_at is None), None)
