"""Sign-ons in the settings file: what would not be safe, or let nobody in, is told at the start."""

from pathlib import Path

import pytest

from cloud.settings import load_settings
from protocols.errors import FixConfiguration

GOOD = """
schema = 1
base_url = "https://suyuan.example.org"

[[oidc]]
id = "city"
title = "City sign-on"
title_zh = "市政务统一登录"
issuer = "https://login.city.example"
client_id = "suyuan"
client_secret_file = "/etc/suyuan/city.secret"
organisation = "market-supervision"
create_accounts = true
role_claim = "groups"
[oidc.roles]
lifts = ["regulator", "inspector"]
"""


def load(folder: Path, text: str) -> str:
    file = folder / "cloud.toml"
    file.write_text(text)
    with pytest.raises(FixConfiguration) as caught:
        load_settings(file)
    return str(caught.value)


def test_sign_on_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(GOOD)
    (found,) = load_settings(file).oidc
    assert found.roles == {"lifts": ("regulator", "inspector")}
    assert found.scopes == ("openid", "profile")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("https://login", "http://login", "an https URL"),
        ("https://login", "ftp://login", "an https URL"),
        ("https://login.city.example", "https://", "an https URL"),
        ("city.example", "city.example?a=b", "an https URL"),
        ('base_url = "https://suyuan.example.org"', "", "base_url"),
        ('id = "city"', 'id = "../x"', "oidc[0].id"),
        ('role_claim = "groups"', "", "role_claim and roles"),
        ('"inspector"]', '"no_role"]', "no_role"),
        ('"inspector"]', '"No Role"]', "oidc[0].roles"),
        ('"groups"', '"groups"\nscopes = ["profile"]', "openid among the scopes"),
        ('"groups"', '"groups"\nclient_secret = "x"', "an unknown key"),
        ('title = "City sign-on"', "", "oidc[0].title"),
    ],
)
def test_what_is_wrong_with_a_sign_on_is_told(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    assert before in GOOD
    assert told in load(tmp_path, GOOD.replace(before, after, 1))


def test_same_sign_on_twice_is_told(tmp_path: Path) -> None:
    again = "[[oidc]]" + GOOD.partition("[[oidc]]")[2]
    assert "each sign-on once, found ['city']" in load(tmp_path, GOOD + again)
    again = again.replace('id = "city"', 'id = "town"')
    assert "found ['https://login.city.example']" in load(tmp_path, GOOD + again)


def test_plain_http_is_for_the_loopback_only(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(GOOD.replace("https://login.city.example", "http://localhost:9000"))
    assert load_settings(file).oidc[0].issuer == "http://localhost:9000"
