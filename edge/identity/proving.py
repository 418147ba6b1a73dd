"""Asks the service as this very gateway: a GET that its certificate's key has signed."""

import base64
import urllib.request
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.identity.asking import exchange
from edge.identity.files import IdentityFolder
from protocols.errors import FixConfiguration, RefuseInput, RetryLater
from protocols.gateway_request import (
    AT_HEADER,
    CERTIFICATE_HEADER,
    SIGNATURE_HEADER,
    request_to_sign,
)


class Prover:
    """Knows where the service is, and proves who asks."""

    def __init__(self, folder: IdentityFolder, *, now_ms: Callable[[], int | None]) -> None:
        """Make one; `now_ms`: the time, ms since 1970, None while nobody knows it."""
        self._folder, self._now_ms = folder, now_ms

    def get(self, target: str) -> bytes:
        """Return the answer to a GET of a path with its query; blocking.

        Raises:
            RefuseInput: the service's own reason; `not_enrolled`: what enrolment left is missing.
            RetryLater: no answer, or nobody knows the time yet.

        """
        now_ms = self._now_ms()
        if now_ms is None:
            raise RetryLater("nobody knows the time yet")
        try:
            headers, server = self._headers(target, now_ms), self._folder.uplink().server
        except FixConfiguration as error:
            raise RefuseInput("not_enrolled", str(error)[:300]) from None
        request = urllib.request.Request(server + target, headers=headers)  # noqa: S310  # as `ask`
        return exchange(request).body

    def url(self, path: str) -> str:
        """Return the address of a path of the service; RefuseInput `not_enrolled`."""
        try:
            return self._folder.uplink().server + path
        except FixConfiguration as error:
            raise RefuseInput("not_enrolled", str(error)[:300]) from None

    def _headers(self, target: str, now_ms: int) -> dict[str, str]:
        der = self._folder.certificate().public_bytes(serialization.Encoding.DER)
        to_sign = request_to_sign(target, now_ms)
        signature = self._folder.key().sign(to_sign, ec.ECDSA(hashes.SHA256()))
        return {
            CERTIFICATE_HEADER: base64.b64encode(der).decode(),
            AT_HEADER: str(now_ms),
            SIGNATURE_HEADER: signature.hex(),
        }
