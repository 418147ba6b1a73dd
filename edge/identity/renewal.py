"""Keeps the certificate in time: the next one is fetched when a third of its life is left."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge.identity.asking import Ask
from edge.identity.enrol import decode
from edge.identity.files import IdentityFolder, common_name, make_csr
from protocols.clock import iso
from protocols.enrolment import (
    RENEW_PATH,
    SIGNATURE_HEADER,
    Enrolled,
    RenewRequest,
    answer_to_sign,
    renewal_to_sign,
)
from protocols.errors import FixConfiguration, RefuseInput, RetryLater

log = logging.getLogger(__name__)

LEFT = 1 / 3
JITTER = 1 / 10
"""Of the lifetime: gateways enrolled on one day do not all ask on one day."""
RETRY_FIRST_S = 30.0
RETRY_MAX_S = 6 * 3600.0
SHORT_LIFE_S = 24 * 3600.0
"""A certificate of a shorter life is looked after that much more often."""
LOOK_MAX_S = 60.0
AGAIN_S = 600.0
"""A broker that calls a new certificate out of date has a wrong clock: it is not asked for more."""
ENROL_AGAIN = "enrol again: `suyuan-cloud gateway invite`, then `suyuan-edge enroll`"


class Life(NamedTuple):
    """From when to when a certificate holds, ms since 1970."""

    since_ms: int
    until_ms: int

    def due_ms(self, share: float) -> int:
        """Return when to renew; `share` of 0 to 1 spreads the gateways."""
        length = self.until_ms - self.since_ms
        return self.until_ms - int(length * (LEFT - JITTER * share))


class Renewer:
    """Looks now and then; asks, stores, and has the link connect anew."""

    def __init__(
        self,
        folder: IdentityFolder,
        *,
        now_ms: Callable[[], int | None],
        told_expired: Callable[[], bool],
        renewed: Callable[[], None],
        ask: Ask,
        rng: random.Random,
    ) -> None:
        """Make a renewer.

        Args:
            folder: the files.
            now_ms: the time, ms since 1970; None while nobody knows it.
            told_expired: tells whether the broker refused the certificate as out of date, which
                needs no clock of ours.
            renewed: called when there is a new certificate.
            ask: posts to the service.
            rng: jitter.

        """
        self._folder, self._now_ms, self._told_expired = folder, now_ms, told_expired
        self._renewed, self._ask, self._rng = renewed, ask, rng
        self._share = rng.random()
        self._failures = 0
        self._told_from_s = 0.0
        self._until_ms: int | None = None
        self._pace = 1.0
        self.why = ""
        self.counters = {"certificate_renewals": 0, "certificate_renewals_failed": 0}

    async def run(self) -> None:
        """Keep the certificate in time until cancelled."""
        while True:
            try:
                due_s = self._due_s(self._life())
                if due_s <= 0:
                    await asyncio.to_thread(self._renew)
                    self._succeeded()
                    due_s = RETRY_FIRST_S
                await asyncio.sleep(min(due_s, LOOK_MAX_S * self._pace))
            except RetryLater as error:
                await self._failed(str(error))
            except RefuseInput as error:
                await self._failed(f"{error}; {ENROL_AGAIN}")
            except (FixConfiguration, OSError) as error:
                await self._failed(f"{error}; {ENROL_AGAIN}")

    def status(self) -> dict[str, Any]:
        """Return what is known of the certificate, as plain JSON data."""
        until = None if self._until_ms is None else iso(self._until_ms)
        return {"certificate_until": until, "why": self.why}

    def _life(self) -> Life:
        certificate = self._folder.certificate()
        since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        life = Life(int(since.timestamp() * 1000), int(until.timestamp() * 1000))
        self._until_ms = life.until_ms
        self._pace = min(1.0, (life.until_ms - life.since_ms) / 1000 / SHORT_LIFE_S)
        return life

    def _due_s(self, life: Life) -> float:
        """Return how long there is time, 0 when it is due."""
        if self._told_expired() and asyncio.get_running_loop().time() >= self._told_from_s:
            return 0
        now_ms = self._now_ms()
        if now_ms is None:
            return LOOK_MAX_S
        return max(0.0, (life.due_ms(self._share) - now_ms) / 1000)

    def _renew(self) -> None:
        told, present = self._folder.uplink(), self._folder.certificate()
        text = (self._folder.path / "cert.pem").read_text()
        csr = make_csr(self._folder.next_key(), common_name(present))
        signature = self._folder.key().sign(renewal_to_sign(text, csr), ec.ECDSA(hashes.SHA256()))
        request = RenewRequest(certificate=text, csr=csr, signature=signature.hex())
        reply = self._ask(told.server + RENEW_PATH, msgspec.json.encode(request), SIGNATURE_HEADER)
        given = self._read(reply.body, reply.proof, csr)
        if given.gateway_id != common_name(present):
            raise RefuseInput("bad_answer", f"it is about {given.gateway_id}")
        self._folder.take(given, server=told.server)

    def _read(self, body: bytes, signature: str, csr: str) -> Enrolled:
        """Read an answer if the authority signed it."""
        try:
            key = self._folder.authority().public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101  # ours are
            to_sign = answer_to_sign(csr, body)
            key.verify(bytes.fromhex(signature), to_sign, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            raise RefuseInput("bad_answer", "whoever answered is not our authority") from None
        return decode(body)

    def _succeeded(self) -> None:
        self._failures, self.why = 0, ""
        self._told_from_s = asyncio.get_running_loop().time() + AGAIN_S * self._pace
        self.counters["certificate_renewals"] += 1
        log.info("new certificate, good until %s", iso(self._life().until_ms))
        self._renewed()

    async def _failed(self, why: str) -> None:
        self.why = why
        self.counters["certificate_renewals_failed"] += 1
        log.warning("the certificate was not renewed: %s", why)
        longest = self._pace * min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(self._failures, 16))
        self._failures += 1
        await asyncio.sleep(self._rng.uniform(longest / 2, longest))
