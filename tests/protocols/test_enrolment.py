"""Codes as people type them, and proofs that fit one message only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.enrolment import (
    ALPHABET,
    CODE_CHARS,
    Code,
    answer_proof,
    parse_code,
    request_proof,
)
from protocols.errors import RefuseInput

CODE = Code("gw-jilin-0001", "7K2M9QXB4T0HZ3CNV8RD")


@given(st.text(ALPHABET, min_size=CODE_CHARS, max_size=CODE_CHARS))
def test_code_is_read_as_it_was_told(secret: str) -> None:
    code = Code("gw-1", secret)
    assert parse_code(str(code)) == code


@pytest.mark.parametrize(
    "text",
    [
        "gw-jilin-0001.7K2M9-QXB4T-0HZ3C-NV8RD",
        " gw-jilin-0001.7k2m9qxb4tohz3cnv8rd\n",
        "gw-jilin-0001.7K2M9 QXB4T OHZ3C NV8RD",
    ],
)
def test_code_is_read_however_it_was_typed(text: str) -> None:
    assert parse_code(text) == CODE


@pytest.mark.parametrize(
    "text",
    ["", "7K2M9-QXB4T-0HZ3C-NV8RD", "gw-1.7K2M9", "GW.7K2M9-QXB4T-0HZ3C-NV8RD", "gw-1.U" * 4],
)
def test_code_that_cannot_be_is_refused_before_anyone_is_asked(text: str) -> None:
    with pytest.raises(RefuseInput, match="bad_code"):
        parse_code(text)


def test_key_tells_neither_code_nor_the_key_of_another_gateway() -> None:
    assert CODE.secret.encode() not in CODE.key()
    assert Code("gw-2", CODE.secret).key() != CODE.key()


def test_proofs_fit_one_message_only() -> None:
    key = CODE.key()
    proofs = {
        request_proof(key, "csr"),
        request_proof(key, "other"),
        answer_proof(key, "csr", b"{}"),
        answer_proof(key, "other", b"{}"),
        answer_proof(key, "csr", b"{} "),
        answer_proof(bytes(32), "csr", b"{}"),
    }
    assert len(proofs) == 6
