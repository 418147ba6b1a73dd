import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import topics
from protocols.errors import RefuseInput
from protocols.ids import check_asset_id, check_gateway_id, scheme_of, shard_of
from protocols.messages import Ack, ack_decoder, command_decoder, is_spool_id, state_decoder

gateway_ids = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)


@given(gateway_ids, st.sampled_from(["up/alarm", "up/data", "state"]))
def test_topic_reads_back(gateway_id: str, leaf: str) -> None:
    topic = topics.of(gateway_id, leaf)
    shard = hashlib.sha256(gateway_id.encode()).hexdigest()[:2]
    assert topic == f"suyuan/v1/{shard}/{gateway_id}/{leaf}"
    assert topics.parse(topic) == (shard, gateway_id, leaf)


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("", "bad_topic"),
        ("suyuan/v1", "bad_topic"),
        (topics.of("gw-1", "up/other"), "bad_topic"),
        (topics.of("gw-1", "down/ack"), "bad_topic"),
        (topics.of("gw-1", "up/data") + "\n", "bad_topic"),
        (topics.of("gw-1", "up/data").replace("v1", "v2"), "bad_topic"),
        (topics.of("gw_1", "state"), "bad_gateway_id"),
        (topics.of("g" * 65, "state"), "bad_gateway_id"),
        (topics.of("gw-1\n", "state"), "bad_gateway_id"),
        ("suyuan/v1/zz/gw-1/state", "bad_topic"),
        (f"suyuan/v1/{int(shard_of('gw-1'), 16) ^ 1:02x}/gw-1/state", "wrong_shard"),
        (f"suyuan/v1/{shard_of('gw-1').upper()}/gw-1/state", "bad_topic"),
        ("x" * 100_000, "bad_topic"),
    ],
)
def test_topic_that_is_none_of_ours_is_refused(topic: str, reason: str) -> None:
    with pytest.raises(RefuseInput) as caught:
        topics.parse(topic)
    assert caught.value.reason == reason
    assert len(caught.value.detail) < 300


@given(st.text(max_size=80))
def test_parse_never_fails_otherwise(text: str) -> None:
    with pytest.raises(RefuseInput):
        topics.parse(text)


@pytest.mark.parametrize("text", ["elevator:31101099920240017", "a:b", "cylinder:JL2B.0-0_1"])
def test_asset_id_is_scheme_and_code(text: str) -> None:
    assert check_asset_id(text) == text
    assert scheme_of(text) == text.split(":", maxsplit=1)[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "elevator",
        "elevator:",
        ":1",
        "Elevator:1",
        "1x:1",
        "a:b:c",
        "a:b\n",
        "a:电",
        "a" * 33 + ":1",
        "a:" + "1" * 65,
    ],
)
def test_asset_id_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(RefuseInput, match="bad_asset_id"):
        check_asset_id(text)


@pytest.mark.parametrize("text", ["", "GW", "gw_1", "gw 1", "a" * 65, "gw\n"])
def test_gateway_id_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(RefuseInput, match="bad_gateway_id"):
        check_gateway_id(text)
    assert check_gateway_id("gw-jilin-0001") == "gw-jilin-0001"


def test_ack_of_the_design_is_read() -> None:
    ack = ack_decoder.decode(
        b'{"spool":"s","stream":"data","through":15,"received":[[17,20]],'
        b'"time":1764000003000,"backlog_bytes_s":200000,"later":1}'
    )
    assert ack == Ack(
        spool="s",
        stream="data",
        through=15,
        received=[(17, 20)],
        time=1764000003000,
        backlog_bytes_s=200000,
    )


def test_state_and_command_of_the_design_are_read() -> None:
    state = state_decoder.decode(b'{"online": false, "boot_id": "b"}')
    assert (state.online, state.boot_id, state.version) == (False, "b", None)
    command = command_decoder.decode(b'{"id":"1","op":"ping","args":{},"expires_at":5}')
    assert (command.op, command.expires_at) == ("ping", 5)


@pytest.mark.parametrize(("text", "good"), [("0f" * 16, True), ("0F" * 16, False), ("0f", False)])
def test_spool_id_is_32_lower_hex_digits(text: str, good: bool) -> None:
    assert is_spool_id(text) is good
