"""Several people on one device: PINs, days without the service, and a device that was lost."""

from pathlib import Path

import pytest

from edge.handheld.session import IDLE_MS, PIN_TRIES
from protocols.errors import RefuseInput
from protocols.handheld import Contact, Inspection
from tests.edge.handheld.conftest import DAY_MS, GRACE_S, LI, WANG, Hand, issued, start


def two_people(hand: Hand) -> None:
    for person, name, pin in ((WANG, "王五", "2580"), (LI, "李四", "1379")):
        member = hand.session.admit(issued(person), name, pin)
        hand.session.heard(member, contact(hand, person))


def state(hand: Hand) -> str:
    return hand.session.state


def contact(hand: Hand, person: str = WANG) -> Contact:
    return Contact(
        time=hand.clock.wall_ms(),
        person=person,
        name={WANG: "王五", LI: "李四"}[person],
        organisation="office",
        offline_grace_s=GRACE_S,
    )


def test_from_empty_to_signed_on(hand: Hand) -> None:
    assert state(hand) == "empty"
    two_people(hand)
    assert state(hand) == "signed_on"
    hand.session.sign_off()
    assert state(hand) == "signed_off"
    assert hand.session.sign_on(WANG, "2580").name == "王五"
    hand.clock.advance(IDLE_MS + 1)
    assert state(hand) == "signed_off", "left lying, it is nobody's"


@pytest.mark.parametrize("pin", ["123", "123456789", "12a4", "", "1111", "１２３４"])
def test_bad_pin_is_not_taken(hand: Hand, pin: str) -> None:
    with pytest.raises(RefuseInput, match="bad_pin"):
        hand.session.admit(issued(), "王五", pin)


def test_wrong_pins_lock_the_person_alone_and_a_restart_forgives_nothing(
    hand: Hand, tmp_path: Path
) -> None:
    two_people(hand)
    for _ in range(PIN_TRIES):
        with pytest.raises(RefuseInput, match="wrong_pin"):
            hand.session.sign_on(WANG, "0000")
    hand.store.close()
    again = start(tmp_path, hand.clock, boot_id="b2")
    with pytest.raises(RefuseInput, match="pin_locked"):
        again.session.sign_on(WANG, "2580")
    assert again.session.sign_on(LI, "1379").id == LI
    again.clock.advance(31_000)
    assert again.session.sign_on(WANG, "2580").failures == 1 * PIN_TRIES
    assert again.session.members[1].failures == 0 or again.session.members[0].failures == 0
    again.store.close()


def test_it_goes_on_for_the_grace_and_no_longer(hand: Hand) -> None:
    two_people(hand)
    hand.clock.advance(GRACE_S * 1000 - 1)
    assert hand.session.sign_on(WANG, "2580")
    hand.clock.advance(1)
    assert state(hand) == "offline_too_long"
    with pytest.raises(RefuseInput, match="not_now"):
        hand.session.sign_on(WANG, "2580")
    hand.session.heard(hand.session.members[0], contact(hand))
    assert hand.session.sign_on(WANG, "2580")


def test_setting_the_clock_back_does_not_lengthen_the_grace(hand: Hand, tmp_path: Path) -> None:
    two_people(hand)
    hand.clock.advance(2 * DAY_MS)
    hand.session.sign_on(WANG, "2580")
    with pytest.raises(RefuseInput):
        hand.session.prove(LI, "0000")  # writes, and the time with it
    hand.store.close()
    hand.clock.set_wall(hand.clock.wall_ms() - 2 * DAY_MS)
    again = start(tmp_path, hand.clock, boot_id="b2")
    assert again.time.now().source == "doubtful"
    again.clock.advance(DAY_MS)
    assert state(again) == "offline_too_long"
    again.store.close()


def test_revoked_device_is_wiped_but_keeps_what_was_done(hand: Hand, tmp_path: Path) -> None:
    two_people(hand)
    hand.scan()
    hand.session.revoke()
    hand.store.close()
    again = start(tmp_path, hand.clock)
    assert state(again) == "revoked"
    assert again.session.members == ()
    assert again.store.waiting == 1
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("handheld.db"))
    assert b"dv_" + WANG.encode() not in raw, "no token lies about in the file"
    member = again.session.admit(issued("3" * 16), "王五", "2580")
    again.session.heard(member, contact(again))
    assert state(again) == "signed_on"
    again.store.close()


def test_person_who_is_out_needs_a_new_code(hand: Hand) -> None:
    two_people(hand)
    hand.session.shut_out(next(one for one in hand.session.members if one.id == WANG))
    with pytest.raises(RefuseInput, match="person_out"):
        hand.session.sign_on(WANG, "2580")
    assert hand.session.sign_on(LI, "1379")
    hand.session.admit(issued("3" * 16), "王五", "2580")
    assert len(hand.session.members) == 2


def test_signature_is_of_exactly_this_content(hand: Hand) -> None:
    two_people(hand)
    one = Inspection(asset="cylinder:A1", form="cylinder", outcome="passed")
    other = Inspection(asset="cylinder:A2", form="cylinder", outcome="passed")
    signed = hand.session.sign(one, WANG, "2580")
    assert signed.sha256 == hand.session.sign(one, LI, "1379").sha256
    assert signed.sha256 != hand.session.sign(other, WANG, "2580").sha256
    with pytest.raises(RefuseInput, match="wrong_pin"):
        hand.session.sign(one, WANG, "1379")
