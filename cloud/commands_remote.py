"""`suyuan-cloud remote`: configuration, releases, rollouts and commands, over the service's API."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud.remote.releases import Releases
from cloud.trust import signing
from protocols.errors import RefuseInput, StopService

remote = typer.Typer(
    no_args_is_help=True,
    help="Reach gateways: their configuration, their software, questions to them.",
)

Url = Annotated[str, typer.Option(help="Address of the service, such as http://127.0.0.1:8080")]
TIMEOUT_S = 30.0
LOOK_S = 0.3
FINAL_CONFIG = ("applied", "refused", "rolled_back", "superseded", "replaced")
FINAL_COMMAND = ("done", "failed", "expired")


@remote.command("push-config")
def push_config(
    gateway: str,
    url: Url,
    site: Annotated[Path, typer.Option(help="Site file (TOML)")],
    overlay: Annotated[Path | None, typer.Option(help="Folder with controllers/ and so on")] = None,
    wait_s: Annotated[float, typer.Option(help="Wait so long for the outcome")] = 120.0,
) -> None:
    """Sign a configuration and send it to a gateway; exit 1 unless it was applied."""
    files = sorted(overlay.glob("*/*.toml")) if overlay else []
    body = {
        "site": _text(site),
        "overlay": {f"{one.parent.name}/{one.name}": _text(one) for one in files},
    }
    pushed = _call(url, f"/api/v1/gateways/{gateway}/config", body)
    typer.echo(f"version {pushed['version']}: {pushed['state']}")

    def look() -> dict[str, Any]:
        found = _call(url, f"/api/v1/gateways/{gateway}/config?limit=100")
        return next(one for one in found if one["version"] == pushed["version"])

    end = _wait(look, FINAL_CONFIG, wait_s)
    typer.echo(" ".join(filter(None, (end["state"], end["reason"], end["detail"]))))
    if end["state"] != "applied":
        raise typer.Exit(1)


@remote.command()
def command(
    gateway: str,
    op: str,
    url: Url,
    args: Annotated[str, typer.Option(help="JSON object")] = "{}",
    expires_in_s: Annotated[int, typer.Option(help="Not carried out later")] = 60,
) -> None:
    """Ask a gateway something and print its answer; exit 1 when it refused or did not answer."""
    try:
        body = {"op": op, "args": json.loads(args), "expires_in_s": expires_in_s}
    except ValueError as error:
        raise typer.BadParameter(f"--args: expected a JSON object: {error}") from None
    entry = _call(url, f"/api/v1/gateways/{gateway}/commands", body)
    path = f"/api/v1/gateways/{gateway}/commands/{entry['id']}"
    end = _wait(lambda: _call(url, path), FINAL_COMMAND, expires_in_s + 5.0)
    typer.echo(json.dumps(end["result"], indent=2, ensure_ascii=False))
    if end["state"] != "done":
        typer.echo(end["state"], err=True)
        raise typer.Exit(1)


@remote.command()
def release(
    data: Annotated[Path, typer.Option(help="Data folder of the service")],
    wheels: Annotated[Path, typer.Option(help="Folder with every wheel, and pip's")],
    requires_python: Annotated[str, typer.Option(help="Such as >=3.11")] = ">=3.11",
) -> None:
    """Sign a folder of wheels as a release of the gateway's software."""
    files = sorted(wheels.glob("*.whl"))
    try:
        made = Releases(data / "releases").add(
            files,
            requires_python=requires_python,
            issued_at=time.time_ns() // 1_000_000,
            sign=partial(signing.sign, data),
        )
    except (RefuseInput, StopService, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"release {made.serial}: {made.version}, {len(made.wheels)} wheels")


@remote.command()
def rollout(
    url: Url,
    serial: Annotated[int, typer.Option(help="Number of the release; 0: show rollouts")] = 0,
    gateway: Annotated[list[str] | None, typer.Option(help="Only these; default: all")] = None,
    stages: Annotated[str, typer.Option(help="Gateways of each stage before the rest")] = "1,5",
    wait_s: Annotated[int, typer.Option(help="Between a stage that went well and the next")] = 3600,
    failures_max: Annotated[int, typer.Option(help="One failure more stops it")] = 0,
    gateway_url: Annotated[str, typer.Option(help="The service as gateways reach it")] = "",
    stop: Annotated[int, typer.Option(help="Stop this rollout")] = 0,
    resume: Annotated[int, typer.Option(help="Let this stopped rollout go on")] = 0,
) -> None:
    """Roll a release out over the fleet, a few gateways first; show, stop or resume rollouts."""
    if stop or resume:
        verb = "stop" if stop else "resume"
        _show(_call(url, f"/api/v1/rollouts/{stop or resume}/{verb}", {"reason": "by hand"}))
        return
    if not serial:
        for one in _call(url, "/api/v1/rollouts"):
            _show(_call(url, f"/api/v1/rollouts/{one['id']}"))
        return
    body: dict[str, Any] = {
        "serial": serial,
        "stages": [int(size) for size in stages.split(",") if size.strip()],
        "wait_s": wait_s,
        "failures_max": failures_max,
        "url": gateway_url,
    }
    if gateway:
        body["gateways"] = gateway
    _show(_call(url, "/api/v1/rollouts", body))


def _show(found: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in found.get("counts", {}).items())
    typer.echo(
        f"rollout {found['id']}: release {found['serial']} ({found['version']}), {found['state']}, "
        f"stage {found['stage'] + 1} of {len(found['stages']) + 1} {counts} {found['reason']}"
    )


def _wait(look: Any, final: tuple[str, ...], wait_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + wait_s
    while True:
        found: dict[str, Any] = look()
        if found["state"] in final or time.monotonic() > deadline:
            return found
        time.sleep(LOOK_S)


def _call(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the service; its refusals end the program."""
    token = os.environ.get("SUYUAN_ADMIN_TOKEN", "")
    request = urllib.request.Request(  # noqa: S310  # the operator says where
        url.rstrip("/") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        typer.echo(f"{error.code}: {error.read().decode(errors='replace')[:2000]}", err=True)
    except OSError as error:
        typer.echo(f"{url}: {error}", err=True)
    sys.exit(2)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"{path}: {error}", err=True)
        sys.exit(2)
