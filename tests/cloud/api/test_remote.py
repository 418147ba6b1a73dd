"""Commands, configurations and rollouts over HTTP."""

from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cloud.model.remote import CommandEntry
from cloud.remote.outcomes import take_reply
from cloud.remote.releases import Releases
from cloud.trust.signing import anchors, sign
from edge.remote.anchors import verify
from protocols.clock import ManualClock
from protocols.errors import RefuseInput
from protocols.messages import State
from protocols.records import Reply
from protocols.signed import Release, unseal
from tests.support.http_services import World
from tests.support.wheels import make_release

SITE = 'schema = 1\ngateway_id = "gw-1"\n[uplink]\nbroker = "mqtt://x"\n'
GATEWAY = "/api/v1/gateways/gw-1"


def told(world: World, command_id: str, *, ok: bool, **result: Any) -> None:
    """Let the gateway reply."""
    reply = Reply(at=1, command_id=command_id, ok=ok, result=result)
    now_ms = world.clock.wall_ms()
    world.database.write_now(lambda c: take_reply(c, "gw-1", reply, now_ms))


async def test_command_waits_is_answered_or_expires(
    client: httpx.AsyncClient, world: World
) -> None:
    answer = await client.post(f"{GATEWAY}/commands", json={"op": "ping", "expires_in_s": 5})
    assert answer.status_code == 202
    entry = answer.json()
    assert (entry["state"], entry["by"], entry["op"]) == ("waiting", "admin", "ping")
    told(world, entry["id"], ok=True, answer=42)
    found = (await client.get(f"{GATEWAY}/commands/{entry['id']}")).json()
    assert (found["state"], found["result"]) == ("done", {"answer": 42})

    assert isinstance(world.clock, ManualClock)
    world.clock.advance(1)
    second = (await client.post(f"{GATEWAY}/commands", json={"op": "status"})).json()
    assert isinstance(world.clock, ManualClock)
    world.clock.advance(61_000)
    listed = (await client.get(f"{GATEWAY}/commands")).json()
    assert [(one["id"], one["state"]) for one in listed] == [
        (second["id"], "expired"),
        (entry["id"], "done"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("commands", {"op": "NO"}, 400, "bad_request"),
        ("commands", {"op": "ping", "expires_in_s": 0}, 400, "bad_request"),
        ("commands", {"op": "ping", "more": 1}, 400, "bad_request"),
        ("commands", {"op": "ping", "args": {"x": "y" * 20_000}}, 413, "too_large"),
        ("config", {"site": "nonsense"}, 400, "bad_site"),
        ("config", {"site": SITE.replace("gw-1", "gw-2")}, 400, "bad_site"),
        ("config", {"site": SITE, "overlay": {"../x.toml": ""}}, 400, "bad_path"),
        (
            "config",
            {"site": SITE, "overlay": {"controllers/x.toml": "schema = 2"}},
            400,
            "bad_site",
        ),
        ("config", {"site": SITE + "# " + "x" * 300_000}, 413, "too_large"),
        ("config", {"site": SITE + "# " + "x" * 600_000}, 413, "too_large"),
    ],
)
async def test_refused_with_a_reason(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, reason: str
) -> None:
    answer = await client.post(f"{GATEWAY}/{path}", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:suyuan:problem:{reason}")


async def test_a_gateway_has_a_bounded_number_of_open_commands(client: httpx.AsyncClient) -> None:
    for _ in range(100):
        assert (await client.post(f"{GATEWAY}/commands", json={"op": "ping"})).status_code == 202
    assert (await client.post(f"{GATEWAY}/commands", json={"op": "ping"})).status_code == 429


async def test_configurations_are_counted_and_followed(
    client: httpx.AsyncClient, world: World
) -> None:
    assert (await client.post(f"{GATEWAY}/config", json={"site": SITE})).json()["version"] == 1
    assert (await client.post(f"{GATEWAY}/config", json={"site": SITE})).json()["version"] == 2
    told(world, "config:2", ok=True, state="trying")
    told(world, "config:2", ok=True, state="applied")
    told(world, "config:2", ok=True, state="trying")  # a duplicate that comes late
    told(world, "config:2", ok=False, state="refused", reason="stale")  # sent by somebody again
    told(world, "config:9", ok=True, state="applied")  # never pushed
    told(world, "config:unknown", ok=False, state="refused", reason="malformed")
    states = [one["state"] for one in (await client.get(f"{GATEWAY}/config")).json()]
    assert states == ["applied", "replaced"]
    third = (await client.post(f"{GATEWAY}/config", json={"site": SITE})).json()
    told(world, f"config:{third['version']}", ok=False, state="rolled_back", reason="no_link")
    newest = (await client.get(f"{GATEWAY}/config")).json()[0]
    assert (newest["state"], newest["reason"]) == ("rolled_back", "no_link")


async def test_release_is_signed_served_and_rolled_out(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, world: World, tmp_path: Path
) -> None:
    releases = Releases(tmp_path / "releases")
    wheels = make_release(tmp_path / "wheels", "1.2.3")
    release = releases.add(
        wheels, requires_python=">=3.11", issued_at=1, sign=partial(sign, tmp_path)
    )
    manifest = releases.manifest(release.serial)
    genuine = unseal(manifest, "release", Release, anchors=anchors(tmp_path), verify=verify)
    assert genuine == release
    assert (await client.get("/api/v1/releases")).json()[0]["version"] == "1.2.3"

    name = release.wheels[0].name
    nobody.headers.pop("Authorization", None)
    whole = (await nobody.get(f"/releases/1/{name}")).content
    rest = await nobody.get(f"/releases/1/{name}", headers={"Range": "bytes=100-"})
    assert (rest.status_code, rest.content) == (206, whole[100:])
    for path in ("/releases/1/manifest.json", "/releases/2/x.whl", "/releases/1/..%2f..%2fstate"):
        assert (await nobody.get(path)).status_code == 404


async def test_rollout_is_told_of(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    wheels = make_release(tmp_path / "wheels", "1.2.3")
    releases = Releases(tmp_path / "releases")
    releases.add(wheels, requires_python=">=3.11", issued_at=1, sign=partial(sign, tmp_path))
    for name in ("gw-1", "gw-2", "gw-3"):
        world.gateways.set_state(name, State(online=True, boot_id="b"), 1)
    begun = await client.post("/api/v1/rollouts", json={"serial": 1, "stages": [1]})
    assert begun.status_code == 202, begun.text
    assert begun.json()["counts"] == {"waiting": 3}
    told(world, "update:1", ok=False, state="rolled_back", reason="not_healthy")
    found = (await client.get("/api/v1/rollouts/1")).json()
    assert found["counts"] == {"waiting": 2, "failed": 1}
    assert found["gateways"][0]["detail"] == "not_healthy"
    stopped = await client.post("/api/v1/rollouts/1/stop", json={"reason": "look first"})
    assert (stopped.json()["state"], stopped.json()["reason"]) == ("stopped", "look first")
    assert (await client.post("/api/v1/rollouts/1/resume")).json()["state"] == "running"
    assert (await client.post("/api/v1/rollouts/7/stop")).status_code == 404
    assert (await client.post("/api/v1/rollouts", json={"serial": 9})).status_code == 404


def test_release_needs_one_version_of_ours_and_a_wheel_of_pip(tmp_path: Path) -> None:
    wheels = make_release(tmp_path / "wheels", "1.2.3")
    releases = Releases(tmp_path / "releases")
    for lacking in (0, 2):
        some = [one for index, one in enumerate(wheels) if index != lacking]
        with pytest.raises(RefuseInput, match="bad_release"):
            releases.add(some, requires_python=">=3.11", issued_at=1, sign=partial(sign, tmp_path))
    assert releases.serials() == []


async def test_fleet_page_tells_of_configuration_and_commands(world: World) -> None:
    await world.services.remote.push("gw-1", site=SITE, overlay={}, not_after=None, by="me")
    told(world, "config:1", ok=True, state="applied")
    entry: CommandEntry = await world.services.remote.command(
        "gw-1", op="ping", args={}, expires_in_s=5, by="me"
    )
    told(world, entry.id, ok=False, reason="busy")
    overview = await world.services.remote.overview(["gw-1", "gw-2"], 3)
    assert (overview["gw-1"].in_effect, overview["gw-2"].in_effect) == (1, None)
    assert [one.state for one in overview["gw-1"].commands] == ["failed"]
    told(world, "config:1", ok=False, state="superseded", reason="local_edit")
    assert (await world.services.remote.overview(["gw-1"], 3))["gw-1"].in_effect is None
