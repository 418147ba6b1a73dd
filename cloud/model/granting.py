"""Granting a call, and marking what asks for one, so that nothing is served unguarded."""

from collections.abc import Callable
from typing import TypeVar

from cloud.model.permissions import load_calls
from cloud.model.principal import Granted, Principal
from protocols.errors import RefuseInput, StopService

Dependency = TypeVar("Dependency", bound=Callable[..., object])
OPEN = "open"
"""Marks what is for everybody."""


def grant(principal: Principal, call: str, *, whole: bool = False) -> Granted:
    """Return the call granted; RefuseInput `forbidden` when it reaches too little for them."""
    scope = principal.scope(call)
    if not (scope.everything if whole else scope):
        raise RefuseInput("forbidden", f"{principal.by} may not: {call}")
    return Granted(principal, call, scope)


def check_call(call: str) -> None:
    """Refuse to build what asks for a call that is not in calls.toml; StopService."""
    if call not in load_calls():
        raise StopService(f"call {call!r} is not in calls.toml")


def mark(dependency: Dependency, call: str) -> Dependency:
    """Write on a dependency which call it guards, for `check_guarded`."""
    dependency.call = call  # type: ignore[attr-defined]  # a function takes any attribute
    return dependency
