"""Rollouts: a few, then the rest; and what stops them."""

import msgspec

from cloud.model.remote import Member, MemberState, Rollout
from cloud.remote.rollout import Step, advance, assign

FLEET = [f"gw-{number}" for number in range(10)]
ROLLOUT = Rollout(
    id=1,
    serial=3,
    version="1.1",
    url="http://x/releases/3",
    stages=(1, 3),
    wait_s=60,
    timeout_s=600,
    failures_max=1,
    by="me",
    created_at=0,
)


class Run:
    """A rollout whose gateways do as the test says."""

    def __init__(self, online: list[str], rollout: Rollout = ROLLOUT) -> None:
        self.rollout, self.online, self.now = rollout, online, 1_000
        self.members = {one.gateway_id: one for one in assign(FLEET, rollout.stages, 0)}

    def look(self, after_s: float = 1) -> list[str]:
        """Look once; return whom it tells."""
        self.now += int(after_s * 1000)
        step: Step = advance(self.rollout, list(self.members.values()), self.online, self.now)
        self.rollout = step.rollout
        for one in step.changed:
            self.members[one.gateway_id] = one
        for one in step.send:
            self.say("sent", one.gateway_id)
        return [one.gateway_id for one in step.send]

    def say(self, state: MemberState, *gateways: str) -> None:
        for name in gateways:
            self.members[name] = msgspec.structs.replace(
                self.members[name], state=state, changed_at=self.now
            )


def test_stages_follow_each_other_after_a_wait() -> None:
    run = Run(FLEET)
    assert run.look() == ["gw-0"]
    assert run.look(500) == []
    run.say("updated", "gw-0")
    assert run.look() == []
    assert run.look(59) == []
    assert run.look(2) == []
    assert run.look() == ["gw-1", "gw-2", "gw-3"]
    run.say("updated", "gw-1", "gw-2")
    assert run.look(70) == []
    assert run.look(70) == []
    assert run.rollout.stage == 1, "one of the stage is still at it"
    run.say("failed", "gw-3")
    run.look()
    run.look(61)
    assert run.look() == FLEET[4:]
    run.say("updated", *FLEET[4:])
    run.look()
    assert run.rollout.state == "done"


def test_too_many_failures_stop_it_at_once() -> None:
    run = Run(FLEET)
    run.look()
    run.say("updated", "gw-0")
    run.look()
    run.look(61)
    run.look()
    run.say("failed", "gw-1", "gw-2")
    assert run.look(100) == []
    assert run.rollout.state == "stopped"
    assert run.rollout.reason.startswith("2 failed: gw-1, gw-2")


def test_silence_is_a_failure() -> None:
    run = Run(FLEET, msgspec.structs.replace(ROLLOUT, failures_max=0))
    run.look()
    run.say("accepted", "gw-0")
    run.look(599)
    assert run.rollout.state == "running"
    run.look(3)
    assert (run.rollout.state, run.members["gw-0"].detail) == ("stopped", "no_answer")


def test_offline_gateways_hold_nothing_up_but_prove_nothing() -> None:
    run = Run(FLEET[1:])
    assert run.look() == []
    assert run.look(10_000) == []
    assert run.rollout.stage == 0, "nobody has proved the release"
    run.online = ["gw-0", "gw-1"]
    assert run.look() == ["gw-0"]
    run.say("updated", "gw-0")
    run.look()
    run.look(61)
    assert run.look() == ["gw-1"]
    run.say("updated", "gw-1")
    run.look()
    run.look(61)
    assert run.rollout.stage == 2
    run.online = FLEET
    assert set(run.look()) == set(FLEET[2:])


def test_gateways_are_shared_out_in_order() -> None:
    members: list[Member] = assign(FLEET[:3], (1, 5), 0)
    assert [(one.gateway_id, one.stage) for one in members] == [
        ("gw-0", 0),
        ("gw-1", 1),
        ("gw-2", 1),
    ]
    assert assign([], (1,), 0) == []
