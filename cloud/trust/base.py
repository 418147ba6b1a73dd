"""What others may ask of the authority."""

from typing import Protocol

from cloud.model.refusal import Refusal
from cloud.model.trust import GatewayIdentity
from protocols.enrolment import Code, EnrolRequest, RenewRequest
from protocols.gateway_request import Proof


class Proven(Protocol):
    """A body, and in hexadecimal what proves that it is ours."""

    @property
    def body(self) -> bytes:
        """JSON."""
        ...

    @property
    def proof(self) -> str:
        """Goes into a header."""
        ...


class Trust(Protocol):
    """The authority; blocking, so called in a thread. RefuseInput names what is wrong."""

    def invite(self, gateway_id: str, *, valid_hours: float = ...) -> tuple[Code, int]:
        """Return a one-time code, and until when it is good."""
        ...

    def enrol(self, request: EnrolRequest, *, address: str) -> Proven:
        """Give an invited gateway its certificate."""
        ...

    def renew(self, request: RenewRequest, *, address: str) -> Proven:
        """Give a gateway its next certificate."""
        ...

    def recognise(self, proof: Proof, target: str, *, address: str) -> str:
        """Return the id of the gateway that asks for `target`, path and query."""
        ...

    def revoke(self, gateway_id: str) -> int:
        """Revoke a gateway's certificates; returns how many."""
        ...

    def cut_off(self, gateway_id: str) -> str:
        """End its connection; returns a sentence for people."""
        ...

    def identity(self, gateway_id: str) -> GatewayIdentity | None:
        """Return what is known of a gateway, None when it was never invited."""
        ...

    def refusals(self, limit: int = ...) -> list[Refusal]:
        """Return what the broker refused, the latest first."""
        ...
