from itertools import product
from typing import get_args

import pytest

from cloud.model.organisation import OPEN_STATES, OrganisationState, Step
from cloud.organisations.states import TRANSITIONS, state_after, steps_from
from protocols.errors import RefuseInput

STATES: tuple[OrganisationState, ...] = get_args(OrganisationState)
STEPS: tuple[Step, ...] = get_args(Step)


@pytest.mark.parametrize(("state", "step"), list(product(STATES, STEPS)))
def test_every_pair_leads_on_or_is_refused(state: OrganisationState, step: Step) -> None:
    after = TRANSITIONS.get((state, step))
    if after is None:
        with pytest.raises(RefuseInput, match="wrong_state"):
            state_after(state, step)
    else:
        assert state_after(state, step) == after
        assert step in steps_from(state)


def test_every_state_is_reached_and_only_refused_and_left_are_ends() -> None:
    assert set(TRANSITIONS.values()) | {"applied"} == set(STATES)
    assert {state for state in STATES if not steps_from(state)} == {"refused", "left"}
    assert set(STATES) - set(OPEN_STATES) == {"refused", "left"}
