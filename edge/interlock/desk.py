"""What people at a gate may do, and how they prove who they are."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.interlock.base import Answered, Cleared, Event, Named, Overrule, Pressed
from edge.interlock.state import State
from edge.settings import Gate as GateSettings
from edge.settings import Person
from protocols.errors import RefuseInput

TRIES_MAX = 5
"""After so many wrong numbers in a row nobody is asked for WAIT_MS."""
WAIT_MS = 60_000
_N, _R, _P = 2**14, 8, 1


class Act(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A button that was pressed."""

    gate: Annotated[str, Meta(max_length=64)]
    do: Literal["answer", "all_passed", "name", "overrule", "end", "again", "clear"]
    check: Annotated[str, Meta(max_length=32)] = ""
    passed: bool = False
    person: Annotated[str, Meta(max_length=64)] = ""
    pin: Annotated[str, Meta(max_length=32)] = ""
    why: Annotated[str, Meta(max_length=200)] = ""


def pin_hash(pin: str, salt: bytes) -> str:
    """Write a number as the site file has it."""
    found = hashlib.scrypt(pin.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)
    return f"{salt.hex()}${found.hex()}"


class Desk:
    """Turns buttons into events; slow where a number is to be proved. One thread at a time."""

    def __init__(self, boot_ms: Callable[[], int]) -> None:
        self._boot_ms = boot_ms
        self._wrong = 0
        self._closed_until_ms = 0

    def events(self, act: Act, settings: GateSettings, state: State) -> list[Event]:
        """Return what a button means.

        Raises:
            RefuseInput: `unknown_person`, `wrong_pin`, `wait`, `not_allowed`, `no_reason`,
                `not_now`: the place is in another state than the page showed.

        """
        if act.do == "answer":
            return [Answered(act.check, act.passed)]
        if act.do == "all_passed":
            return self._all_passed(state)
        if act.do in {"end", "again"}:
            return [Pressed("end" if act.do == "end" else "again")]
        person = _person(settings, act.person)
        if act.do == "name":
            return [Named(person.id)]
        return self._decided(act, person, state)

    def _all_passed(self, state: State) -> list[Event]:
        asked = state.checks_after
        if state.phase == "judged" and state.judged is not None:
            asked = state.judged.checks
        answered = {check for check, _ in state.answers}
        return [Answered(one, passed=True) for one in asked if one not in answered]

    def _decided(self, act: Act, person: Person, state: State) -> list[Event]:
        if act.do == "clear":
            if state.phase != "blocked":
                raise RefuseInput("not_now", "it is not blocked")
            if person.role == "operator":
                raise RefuseInput("not_allowed", f"a role above operator, not {person.role}")
            self._prove(person, act.pin)
            return [Cleared(person.id)]
        judged = state.judged
        if state.phase != "judged" or judged is None:
            raise RefuseInput("not_now", "nothing is to be decided")
        if person.role not in judged.may_overrule:
            raise RefuseInput("not_allowed", f"the rules do not leave this to {person.role}")
        if len(act.why.strip()) < 2:
            raise RefuseInput("no_reason", "why")
        self._prove(person, act.pin)
        return [Overrule(person.id, person.role, act.why.strip())]

    def _prove(self, person: Person, pin: str) -> None:
        if person.pin is None:
            return
        if self._boot_ms() < self._closed_until_ms:
            raise RefuseInput("wait", "too many wrong numbers")
        salt, _ = person.pin.split("$")
        if hmac.compare_digest(pin_hash(pin, bytes.fromhex(salt)), person.pin):
            self._wrong = 0
            return
        self._wrong += 1
        if self._wrong >= TRIES_MAX:
            self._wrong, self._closed_until_ms = 0, self._boot_ms() + WAIT_MS
        raise RefuseInput("wrong_pin", person.id)


def _person(settings: GateSettings, wanted: str) -> Person:
    for one in settings.people:
        if one.id == wanted:
            return one
    raise RefuseInput("unknown_person", wanted[:64])
