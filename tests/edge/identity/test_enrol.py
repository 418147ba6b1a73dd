"""A gateway enrols against a real desk; whoever stands in between gets nowhere."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from edge.identity.asking import Reply, check_server
from edge.identity.enrol import enrol
from edge.identity.files import IdentityFolder
from edge.identity.using import with_identity
from edge.settings import load_site
from protocols.border import read_toml
from protocols.enrolment import Code, EnrolRequest
from protocols.errors import FixConfiguration, RefuseInput, RetryLater
from tests.support.authority import Bureau, open_bureau

SERVER = "http://service.test"


@pytest.fixture
def bureau(tmp_path: Path) -> Iterator[Bureau]:
    one = open_bureau(tmp_path / "cloud")
    yield one
    one.database.close()


class Post:
    """Asks the desk; loses or bends what it is told to."""

    def __init__(self, bureau: Bureau) -> None:
        self._bureau = bureau
        self.lose = False
        self.bend: Callable[[Reply], Reply] = lambda reply: reply
        self.asked: list[bytes] = []

    def __call__(self, url: str, body: bytes, header: str) -> Reply:
        assert url == "http://service.test/api/v1/enroll"
        self.asked.append(body)
        request = msgspec.json.decode(body, type=EnrolRequest)
        answer = self._bureau.desk.enrol(request, address="a")
        if self.lose:
            raise RetryLater("lost")
        return self.bend(Reply(answer.body, answer.proof))


def _enrol(bureau: Bureau, state: Path, post: Post | None = None, code: Code | None = None) -> None:
    code = code or bureau.desk.invite("gw-1")[0]
    enrol(SERVER, str(code), state, post or Post(bureau))


def test_files_are_left_with_their_modes(bureau: Bureau, tmp_path: Path) -> None:
    state = tmp_path / "state"
    _enrol(bureau, state)
    folder = state / "identity"
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    public = dict.fromkeys(("cert.pem", "ca.pem", "anchors.json", "uplink.toml"), 0o644)
    assert modes == {"key.pem": 0o600, **public}
    assert folder.stat().st_mode & 0o777 == 0o700
    anchors = msgspec.json.decode((folder / "anchors.json").read_bytes())
    assert anchors["schema"] == 1
    assert [len(bytes.fromhex(key)) for key in anchors["keys"]] == [32]
    assert read_toml(folder / "uplink.toml") == {
        "schema": 1,
        "gateway_id": "gw-1",
        "broker": "mqtts://broker.test:8883",
        "server": SERVER,
    }


def test_site_file_to_begin_with_is_left_once(bureau: Bureau, tmp_path: Path) -> None:
    _enrol(bureau, tmp_path)
    site = tmp_path / "site.toml"
    assert load_site(site).gateway_id == "gw-1"
    site.write_text("mine")
    _enrol(bureau, tmp_path)
    assert site.read_text() == "mine"


def test_lost_answer_is_asked_for_again_with_the_same_key(bureau: Bureau, tmp_path: Path) -> None:
    code, post = bureau.desk.invite("gw-1")[0], Post(bureau)
    post.lose = True
    with pytest.raises(RetryLater):
        _enrol(bureau, tmp_path, post, code)
    assert not IdentityFolder(tmp_path).exists()
    post.lose = False
    _enrol(bureau, tmp_path, post, code)
    identity = bureau.desk.identity("gw-1")
    assert identity is not None
    assert len(identity.certificates) == 1


def test_code_never_travels(bureau: Bureau, tmp_path: Path) -> None:
    code, post = bureau.desk.invite("gw-1")[0], Post(bureau)
    _enrol(bureau, tmp_path, post, code)
    secrets = (code.secret, str(code).partition(".")[2], code.key().hex())
    assert not any(text.encode() in post.asked[0] for text in secrets)


def _other_broker(reply: Reply) -> Reply:
    return Reply(reply.body.replace(b"broker.test", b"broker.evil"), reply.proof)


@pytest.mark.parametrize(
    "bend",
    [
        _other_broker,
        lambda reply: Reply(reply.body, ""),
        lambda reply: Reply(reply.body, "é"),
        lambda reply: Reply(b"{}", reply.proof),
        lambda reply: Reply(reply.body + b" ", reply.proof),
    ],
)
def test_answer_that_was_changed_on_the_way_is_not_taken(
    bureau: Bureau, tmp_path: Path, bend: Callable[[Reply], Reply]
) -> None:
    post = Post(bureau)
    post.bend = bend
    with pytest.raises(RefuseInput, match="does not know the code"):
        _enrol(bureau, tmp_path, post)
    assert {path.name for path in (tmp_path / "identity").iterdir()} == {"next-key.pem"}


def test_power_cut_between_certificate_and_key(bureau: Bureau, tmp_path: Path) -> None:
    _enrol(bureau, tmp_path)
    folder = tmp_path / "identity"
    (folder / "key.pem").rename(folder / "next-key.pem")
    (folder / "key.pem").write_bytes(b"an older one")
    IdentityFolder(tmp_path).settle()
    assert (
        IdentityFolder(tmp_path).key().public_key()
        == x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes()).public_key()
    )
    assert not (folder / "next-key.pem").exists()


@pytest.mark.parametrize("torn", [b"", b"-----BEGIN PRIVATE KEY-----\nMIG", bytes(300)])
def test_torn_key_of_an_earlier_try_is_made_anew(
    bureau: Bureau, tmp_path: Path, torn: bytes
) -> None:
    folder = tmp_path / "identity"
    folder.mkdir()
    (folder / "next-key.pem").write_bytes(torn)
    _enrol(bureau, tmp_path)
    assert IdentityFolder(tmp_path).exists()


def _site(folder: Path, text: str = "", gateway: str = "gw-1") -> Path:
    path = folder / "mine.toml"
    path.write_text(f'schema = 1\ngateway_id = "{gateway}"\n{text}')
    return path


def test_identity_fills_in_what_the_site_file_leaves_out(bureau: Bureau, tmp_path: Path) -> None:
    _enrol(bureau, tmp_path)
    folder = tmp_path / "identity"
    file = _site(tmp_path)
    uplink = with_identity(load_site(file), file, tmp_path).uplink
    assert uplink.broker == "mqtts://broker.test:8883"
    assert uplink.ca_file == str(folder / "ca.pem")
    assert (uplink.cert_file, uplink.key_file) == (
        str(folder / "cert.pem"),
        str(folder / "key.pem"),
    )


def test_explicit_keys_of_the_site_file_win(bureau: Bureau, tmp_path: Path) -> None:
    _enrol(bureau, tmp_path)
    file = _site(tmp_path, '[uplink]\nbroker = "mqtts://mine"\ncert_file = "c"\nkey_file = "k"\n')
    uplink = with_identity(load_site(file), file, tmp_path).uplink
    assert (uplink.broker, uplink.cert_file, uplink.key_file) == ("mqtts://mine", "c", "k")
    file = _site(tmp_path, '[uplink]\nbroker = "mqtt://mine"\n')
    assert with_identity(load_site(file), file, tmp_path).uplink.cert_file is None
    file = _site(tmp_path, '[uplink]\nbroker = "mqtts://mine"\n')
    uplink = with_identity(load_site(file), file, tmp_path).uplink
    assert uplink.broker == "mqtts://mine"
    assert uplink.cert_file == str(tmp_path / "identity" / "cert.pem")


def test_nobody_enrolled_or_somebody_else_is_said(bureau: Bureau, tmp_path: Path) -> None:
    file = _site(tmp_path)
    with pytest.raises(FixConfiguration, match="suyuan-edge enroll"):
        with_identity(load_site(file), file, tmp_path)
    _enrol(bureau, tmp_path)
    file = _site(tmp_path, gateway="gw-2")
    with pytest.raises(FixConfiguration, match='expected "gw-1"'):
        with_identity(load_site(file), file, tmp_path)


@pytest.mark.parametrize(
    "url", ["", "service", "ftp://x", "http://", 'http://x"', "http://x/?a", "http://x:99999"]
)
def test_server_that_cannot_be(url: str) -> None:
    with pytest.raises(RefuseInput, match="bad_server"):
        check_server(url)


def test_server_with_a_path_before_it() -> None:
    assert check_server("https://host/suyuan/") == "https://host/suyuan"


def test_card_that_lost_a_part_of_the_identity_starts_all_the_same(
    bureau: Bureau, tmp_path: Path
) -> None:
    _enrol(bureau, tmp_path)
    file, folder = _site(tmp_path), tmp_path / "identity"
    (folder / "uplink.toml").write_bytes(b"\x00" * 80)
    assert with_identity(load_site(file), file, tmp_path).uplink.broker == ""
    (folder / "cert.pem").unlink()
    (folder / "uplink.toml").unlink()
    uplink = with_identity(load_site(file), file, tmp_path).uplink
    assert uplink.cert_file == str(folder / "cert.pem")
