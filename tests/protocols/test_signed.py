"""Signed documents: what is genuine is taken, everything else is refused by name."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cloud.trust.signing import add_key, anchors, retire_key, sign
from edge.remote.anchors import verify
from protocols.errors import RefuseInput
from protocols.signed import (
    SIGNED_BYTES_MAX,
    Configuration,
    check_overlay,
    claimed_version,
    open_configuration,
    seal,
)


def document(**changes: Any) -> Configuration:
    fields: dict[str, Any] = {"gateway_id": "gw-1", "version": 7, "issued_at": 1, "site": "x = 1"}
    return Configuration(**fields | changes)


def opened(raw: bytes, keys: Path) -> Configuration:
    return open_configuration(raw, gateway_id="gw-1", anchors=anchors(keys), verify=verify)


def reason(raw: bytes, keys: Path) -> str:
    with pytest.raises(RefuseInput) as caught:
        opened(raw, keys)
    return caught.value.reason


def test_genuine_document_comes_through_byte_for_byte(tmp_path: Path) -> None:
    told = document(site='a = "中\\n"', overlay={"controllers/x.toml": "schema = 1"})
    assert opened(seal("config", told, partial(sign, tmp_path)), tmp_path) == told


def test_either_of_two_keys_is_enough_while_they_change(tmp_path: Path) -> None:
    old = anchors(tmp_path)
    new = add_key(tmp_path)
    raw = seal("config", document(), partial(sign, tmp_path))
    for known in (old, (new,), (*old, new)):
        assert open_configuration(raw, gateway_id="gw-1", anchors=known, verify=verify)
    retire_key(tmp_path, "signing-1.pem")
    raw = seal("config", document(), partial(sign, tmp_path))
    assert open_configuration(raw, gateway_id="gw-1", anchors=(*old, new), verify=verify)
    with pytest.raises(RefuseInput, match="unknown_key"):
        open_configuration(raw, gateway_id="gw-1", anchors=old, verify=verify)


def test_keys_are_for_nobody_else(tmp_path: Path) -> None:
    anchors(tmp_path)
    file = tmp_path / "ca" / "signing" / "signing-1.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_every_refusal_by_name(tmp_path: Path) -> None:
    raw = seal("config", document(), partial(sign, tmp_path))
    signed = json.loads(raw)
    broken = {
        "malformed": b"{",
        "unsigned": json.dumps(signed | {"signatures": []}).encode(),
        "bad_signature": json.dumps(signed | {"body": signed["body"] + " "}).encode(),
        "unknown_key": seal("config", document(), partial(sign, tmp_path / "stranger")),
        "wrong_purpose": seal("release", document(), partial(sign, tmp_path)),
        "foreign_gateway": seal("config", document(gateway_id="gw-2"), partial(sign, tmp_path)),
        "too_large": seal("config", document(site="x" * SIGNED_BYTES_MAX), partial(sign, tmp_path)),
        "bad_path": seal("config", document(overlay={"../x.toml": ""}), partial(sign, tmp_path)),
    }
    assert {name: reason(one, tmp_path) for name, one in broken.items()} == {n: n for n in broken}
    nested = b'{"schema":1,"purpose":"config","body":' + b"[" * 100_000
    assert reason(nested, tmp_path) == "malformed"


def test_a_document_of_another_purpose_never_passes_by_its_signature(tmp_path: Path) -> None:
    signed = json.loads(seal("release", document(), partial(sign, tmp_path)))
    assert reason(json.dumps(signed | {"purpose": "config"}).encode(), tmp_path) == "bad_signature"


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/x.toml", "../x.toml", "a/../x.toml", "a/b/c.toml", "a/..toml", "a/.x.toml"),
        *("a//x.toml", "a/x.sh", "A/x.toml", "a/x.toml\n", "a\\x.toml", "a/x\x00.toml", ""),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(RefuseInput, match="bad_path"):
        check_overlay([path])


def test_version_is_told_of_what_nobody_believes(tmp_path: Path) -> None:
    raw = seal("config", document(), partial(sign, tmp_path))
    assert claimed_version(raw) == 7
    assert claimed_version(raw.replace(b'version\\":7', b'version\\":-7')) is None
    assert claimed_version(b"\xff") is None
