"""Each state and change that the feed tells of has words for people."""

from typing import get_args

from cloud.feed.words import load_feed_words
from cloud.model.alarm import AlarmState
from cloud.model.incident import DeadlineKind, IncidentState, Verb
from cloud.model.transition import Change

HELD = ("acknowledged", "repeated", "shelved", "unshelved", "reset")
SERVICE = ("out_of_service", "returned_to_service")
TOLD = ("opened", "joined", "alarm_ended", "nobody")


def test_each_state_and_change_has_words() -> None:
    words = load_feed_words()
    assert set(words.states) == {*get_args(AlarmState), *get_args(IncidentState)}
    changes = {*get_args(Change), *get_args(Verb), *HELD, *SERVICE, *TOLD, "test"}
    assert set(words.changes) == changes | {f"due_{one}" for one in get_args(DeadlineKind)}


def test_a_word_that_nobody_knows_is_told_as_it_stands() -> None:
    words = load_feed_words()
    assert (words.state("odd", "zh"), words.change("odd", "en")) == ("odd", "odd")
    assert words.state("unacknowledged", "zh") == "待确认"
