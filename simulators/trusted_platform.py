"""Authority, broker with certificates, service and one enrolled gateway, as child processes.

Snapshots of a filling station are signed and given to gateways that prove who they are, so that a
hall needs all of it.
"""

import asyncio
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from protocols.errors import StopService
from simulators.api import Api
from simulators.hall_story import Story, code_of, entry_of
from simulators.processes import Child, Family, free_port, module_command, module_environment
from simulators.waiting import until

READY_TIMEOUT_S = 300.0
COMMAND_S = 300.0
DISTRICT = "船营区"
_FILLERS = {0: "91220202MA000071X6", 1: "91220202MA00007286"}
"""Invented credit codes with right check characters."""


class TrustedPlatform:
    """All of it in one folder, on free ports.

    Args:
        folder: for data, state and logs.
        environment: what the gateway needs beside, such as the socket of a pcscd.

    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder, self.data, self.state = folder, folder / "data", folder / "gateway"
        self._environment = environment or {}
        self.family = Family(folder)
        self._ports = free_port(), free_port(), free_port()
        self._token = secrets.token_urlsafe(12)
        self.api = Api(self._ports[0], self._token)
        self.site = folder / "site.toml"

    @property
    def http_port(self) -> int:
        """Where the service answers, on this machine."""
        return self._ports[0]

    async def start(self) -> None:
        """Make the authority, start broker and service. Raises StopService."""
        _, broker, service = self._ports
        await self._run(
            *("cloud", "ca", "init", "--data", str(self.data), "--name", "127.0.0.1"),
            *("--port", str(broker), "--service-port", str(service)),
        )
        await self.start_service()

    async def start_service(self, prefix: Sequence[str] = ()) -> tuple[Child, Child]:
        """Start broker and service, and wait until both work.

        `prefix` comes before each command: another clock.

        Raises:
            StopService: they do not in time, or have ended.

        """
        http, _, service = self._ports
        told = ("--data", str(self.data))
        broker = self._start("broker", ("cloud", "broker", *told), prefix=prefix)
        cloud = self._start(
            "cloud",
            (
                *("cloud", "serve", *told, "--http", f"127.0.0.1:{http}"),
                *("--broker", f"mqtts://127.0.0.1:{service}"),
            ),
            {"SUYUAN_ADMIN_TOKEN": self._token},
            prefix=prefix,
        )

        async def ready() -> bool | None:
            status, _ = await self.api.call("GET", "/readyz")
            return True if status == 200 else None

        await until(
            ready,
            timeout_s=READY_TIMEOUT_S,
            what="the service is ready",
            alive=self.family.check,
            every_s=0.1,
        )
        return broker, cloud

    async def register(self, story: Story) -> None:
        """Register fillers, bottles and the station's gateway. Raises StopService."""
        for number, firm in enumerate((story.filler, story.other_filler)):
            details = {"kind": "filling_station", "name": firm, "credit_code": _FILLERS[number]}
            more = {"districts": [DISTRICT], "categories": ["special_equipment"]}
            await self._call("PUT", f"/api/v1/organisations/{firm}", details | more)
        year = datetime.now(UTC).year
        gases = sorted({place.gas for place in story.places})
        permit = {"items": gases, "valid_from": f"{year}-01-01", "valid_until": f"{year + 4}-12-31"}
        await self._call("PUT", f"/api/v1/permits/filling/{story.filler}/TS-1", permit)
        for number, bottle in enumerate(story.bottles, 1):
            if not bottle.registered:
                continue
            path = f"/api/v1/cylinders/{code_of(number)}"
            await self._call(
                "PUT", path, entry_of(number, bottle, story, year=year, district=DISTRICT)
            )
            if bottle.scrapped:
                how = {"how": "crushed", "on": f"{year}-01-02", "by": "模拟", "reason": "模拟报废"}
                await self._call("POST", f"{path}/scrap", how)
        await self._call(
            "PUT",
            f"/api/v1/assets/gateway:{story.gateway}",
            {
                "kind": "gateway",
                "name": story.title_zh[:40],
                "parties": {"filler": story.filler},
                "attributes": {"district": DISTRICT},
            },
        )

    async def enrol(self, gateway: str, site: str) -> None:
        """Get the gateway its certificate, and write its site file. Raises StopService."""
        answer = await self._call("POST", f"/api/v1/gateways/{gateway}/invite")
        told = ("--server", f"http://127.0.0.1:{self._ports[0]}", "--code", answer["code"])
        await self._run("edge", "enroll", *told, "--state", str(self.state))
        await asyncio.to_thread(self.site.write_text, site, encoding="utf-8")

    def start_gateway(self, prefix: Sequence[str] = ()) -> Child:
        """Start the gateway's daemon."""
        told = ("--site", str(self.site), "--state", str(self.state))
        return self._start("gateway", ("edge", "run", *told), self._environment, prefix=prefix)

    def end(self, child: Child, *, kill: bool = False) -> None:
        """End one child for good, by SIGKILL if wanted."""
        self.family.end(child, kill=kill)

    def _start(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        prefix: Sequence[str] = (),
    ) -> Child:
        command = [*prefix, *module_command(*arguments)]
        return self.family.start(name, command, module_environment() | dict(environment or {}))

    async def _call(self, method: str, path: str, body: object = None) -> dict[str, str]:
        status, found = await self.api.call(method, path, body if body is not None else {})
        if status not in (200, 201):
            raise StopService(f"{method} {path} was answered {status}: {found}")
        return found if isinstance(found, dict) else {}

    async def _run(self, *arguments: str) -> None:
        """Run one of our commands to its end."""
        done = await asyncio.to_thread(
            subprocess.run,
            module_command(*arguments),
            env={**os.environ, **module_environment()},
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        if done.returncode:
            raise StopService(
                f"{' '.join(arguments[:3])} ended with {done.returncode}: {done.stderr}"
            )
