"""How an organisation comes in and goes: a pure table."""

from collections.abc import Mapping

from cloud.model.organisation import OrganisationState, Step
from protocols.errors import RefuseInput

TRANSITIONS: Mapping[tuple[OrganisationState, Step], OrganisationState] = {
    ("applied", "confirm"): "active",
    ("applied", "refuse"): "refused",
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",
    ("active", "leave"): "left",
}


def state_after(state: OrganisationState, step: Step) -> OrganisationState:
    """Return the state that a step leads to; RefuseInput `wrong_state` where it leads nowhere."""
    after = TRANSITIONS.get((state, step))
    if after is None:
        expected = " or ".join(before for before, one in TRANSITIONS if one == step)
        raise RefuseInput("wrong_state", f"{step}: expected {expected}, found {state}")
    return after


def steps_from(state: OrganisationState) -> list[Step]:
    """Return the steps that lead on from a state."""
    return [step for before, step in TRANSITIONS if before == state]
