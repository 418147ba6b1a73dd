"""Who works with this handheld: several people on one device, days without the service.

Each person is let in once by a one-time code, which the service turns into a token of this person
on this device, and chooses a PIN. From then on the PIN is enough, with or without the service.

* Without any word of the service for `offline_grace_s`, nobody works on until it answered again.
* A token that the service calls revoked means that the device was reported lost: tokens, PINs and
  what was downloaded are wiped, and only a new one-time code opens it. Records that wait stay.
* A token that is not in force otherwise shuts out its person alone.
* PIN_TRIES wrong PINs in a row shut the person out for LOCK_FIRST_MS, doubling to LOCK_MAX_MS.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from edge.handheld.store import Store
from edge.handheld.timing import HandTime, Now
from protocols.errors import RefuseInput
from protocols.handheld import Contact, Digest, Inspection, Person, Signature, signed_content

PIN_TRIES = 5
LOCK_FIRST_MS, LOCK_MAX_MS = 30_000, 15 * 60_000
IDLE_MS = 10 * 60_000
"""Untouched for so long, a signed-on person is signed off."""
PEOPLE_MAX = 20
SCRYPT = {"n": 2**14, "r": 8, "p": 1}
"""About 50 ms and 16 MiB on a small processor."""

Pin = Annotated[str, Meta(pattern=r"^[0-9]{4,8}\Z")]
State = Literal["empty", "signed_off", "signed_on", "offline_too_long", "revoked"]


class Member(Struct, frozen=True, kw_only=True):
    """One person who may work with this device."""

    id: Person
    name: str
    organisation: str = ""
    token: str
    renew_at: int
    """ms since 1970; from then on the token is renewed."""
    salt: bytes
    pin: bytes
    """scrypt of the PIN."""
    failures: int = 0
    locked_until: int = 0
    out: bool = False
    """The token is not in force any more: this person needs a new code."""


class _Kept(Struct, frozen=True, kw_only=True):
    members: tuple[Member, ...] = ()
    contact_at: int = 0
    """When the service last answered one of these tokens, ms since 1970 by its own clock."""
    offline_grace_s: int = 0
    revoked: bool = False
    organisation: str = ""
    """Of whoever the service answered last."""
    fills: bool = False


_kept = msgspec.json.Decoder(_Kept)


class Session:
    """The people of a device, and who of them works with it now."""

    def __init__(self, store: Store, time: HandTime, random_bytes: Callable[[int], bytes]) -> None:
        self._store, self._time, self._random = store, time, random_bytes
        known = store.kept("session")
        self._now = _Kept() if known is None else _kept.decode(known)
        self._on: str | None = None
        self._touched_at = 0

    @property
    def members(self) -> tuple[Member, ...]:
        """All people of the device, by name."""
        return tuple(sorted(self._now.members, key=lambda one: (one.name, one.id)))

    @property
    def contact_at(self) -> int:
        """When the service last answered, ms since 1970; 0: never."""
        return self._now.contact_at

    @property
    def organisation(self) -> str:
        """Return whose device it is; empty before the first contact, and after it was lost."""
        return self._now.organisation

    @property
    def fills(self) -> bool:
        """Whether that is a filling unit."""
        return self._now.fills

    @property
    def state(self) -> State:
        """What may be done now."""
        if self._now.revoked:
            return "revoked"
        if not self._now.members:
            return "empty"
        if self.left_ms() <= 0:
            return "offline_too_long"
        return "signed_off" if self.who() is None else "signed_on"

    def left_ms(self) -> int:
        """Return for how long it may still go on without the service."""
        now_ms = self._time.now().at_ms
        return self._now.contact_at + self._now.offline_grace_s * 1000 - now_ms

    def who(self) -> Member | None:
        """Return who is signed on; nobody after IDLE_MS without a touch."""
        if self._time.now().at_ms - self._touched_at > IDLE_MS:
            self._on = None
        return next((one for one in self._now.members if one.id == self._on), None)

    def touch(self) -> None:
        """Note that the person has just done something."""
        if self.who() is not None:
            self._touched_at = self._time.now().at_ms

    def admit(self, told: "Issued", name: str, pin: str) -> Member:
        """Take a person in whom the service has let in by a one-time code, and sign the person on.

        Raises:
            RefuseInput: `bad_pin`: not 4 to 8 digits; `too_many_people`.

        """
        check_pin(pin)
        others = () if self._now.revoked else self._now.members
        others = tuple(one for one in others if not (one.out and one.name == name))
        if len(others) >= PEOPLE_MAX:
            raise RefuseInput("too_many_people", f"at most {PEOPLE_MAX} on one device")
        salt = self._random(16)
        member = Member(
            id=told.id,
            name=name,
            token=told.token,
            renew_at=told.renew_at,
            salt=salt,
            pin=_hash(pin, salt),
        )
        kept = msgspec.structs.replace(self._now, members=(*others, member), revoked=False)
        now_ms = self._time.now().at_ms  # the code was turned into a token just now
        self._keep(
            msgspec.structs.replace(kept, offline_grace_s=told.offline_grace_s, contact_at=now_ms)
        )
        self._on, self._touched_at = member.id, now_ms
        return member

    def sign_on(self, person: str, pin: str) -> Member:
        """Sign somebody on by the PIN.

        Raises:
            RefuseInput: `not_now`: the device is in no state for it; `unknown_person`,
                `wrong_pin`, `pin_locked`; `person_out`: needs a new one-time code.

        """
        if self.state not in ("signed_off", "signed_on"):
            raise RefuseInput("not_now", self.state)
        member = self.prove(person, pin)
        self._on, self._touched_at = member.id, self._time.now().at_ms
        return member

    def sign_off(self) -> None:
        """Sign off whoever is signed on."""
        self._on = None

    def prove(self, person: str, pin: str) -> Member:
        """Return the person whose PIN this is; errors as `sign_on`. Each failure is kept first."""
        member = next((one for one in self._now.members if one.id == person), None)
        if member is None:
            raise RefuseInput("unknown_person", person[:32])
        if member.out:
            raise RefuseInput("person_out", "ask for a new one-time code")
        now_ms = self._time.now().at_ms
        if member.locked_until > now_ms:
            raise RefuseInput("pin_locked", f"{(member.locked_until - now_ms) // 1000 + 1} s")
        if not hmac.compare_digest(_hash(pin[:8], member.salt), member.pin):
            self._change(member, **_after_failure(member, now_ms))
            raise RefuseInput("wrong_pin", "")
        if member.failures:
            self._change(member, failures=0, locked_until=0)
        return member

    def sign(self, inspection: Inspection, person: str, pin: str) -> Signature:
        """Sign an inspection as it stands by a person's PIN; errors as `prove`."""
        member = self.prove(person, pin)
        digest: Digest = hashlib.sha256(signed_content(inspection)).hexdigest()
        return Signature(person=member.id, signed_at=self._time.now().at_ms, sha256=digest)

    # --- what the service says ---------------------------------------------------------------

    def heard(self, member: Member, contact: Contact) -> Now:
        """Take the service's answer: its time, and that this device and person are known."""
        self._time.heard(contact.time)
        told = {"name": contact.name, "organisation": contact.organisation}
        self._keep(
            msgspec.structs.replace(
                self._with(member.id, **told),
                contact_at=contact.time,
                organisation=contact.organisation,
                fills=contact.fills,
                offline_grace_s=contact.offline_grace_s,
            )
        )
        return self._time.now()

    def renewed(self, member: Member, token: str, renew_at: int) -> None:
        """Keep a person's next token, durably, before it is used."""
        self._change(member, token=token, renew_at=renew_at)

    def shut_out(self, member: Member) -> None:
        """Note that a person's token is not in force any more."""
        self._change(member, out=True, token="")
        if self._on == member.id:
            self._on = None

    def revoke(self) -> None:
        """Wipe tokens and PINs: the device was reported lost."""
        self._on = None
        self._keep(_Kept(revoked=True))

    def _change(self, member: Member, **fields: object) -> None:
        self._keep(self._with(member.id, **fields))

    def _with(self, person: str, **fields: object) -> _Kept:
        members = tuple(
            msgspec.structs.replace(one, **fields) if one.id == person else one
            for one in self._now.members
        )
        return msgspec.structs.replace(self._now, members=members)

    def _keep(self, now: _Kept) -> None:
        self._store.keep(session=msgspec.json.encode(now), time=self._time.encoded())
        self._now = now


class Issued(Struct, frozen=True, kw_only=True):
    """What the service tells a device that it let in, and at each renewal."""

    id: Person
    token: Annotated[str, Meta(min_length=8, max_length=128)]
    renew_at: int
    """ms since 1970."""
    offline_grace_s: int


def check_pin(pin: str) -> None:
    """Refuse what is no PIN; RefuseInput `bad_pin`."""
    try:
        msgspec.convert(pin, Pin)
    except msgspec.ValidationError:
        raise RefuseInput("bad_pin", "expected 4 to 8 digits") from None
    if len(set(pin)) == 1:
        raise RefuseInput("bad_pin", "expected more than one digit again and again")


def _after_failure(member: Member, now_ms: int) -> dict[str, int]:
    failures, until = member.failures + 1, 0
    if failures >= PIN_TRIES:
        until = now_ms + min(LOCK_MAX_MS, LOCK_FIRST_MS * 2 ** min(failures - PIN_TRIES, 16))
    return {"failures": failures, "locked_until": until}


def _hash(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, **SCRYPT)
