"""The service with its embedded broker, and gateways, as child processes of a demonstration."""

import asyncio
import secrets
from pathlib import Path

from protocols.errors import StopService
from simulators.api import Api
from simulators.processes import Family, free_port, module_command, module_environment
from simulators.tell import Teller
from simulators.waiting import until

READY_TIMEOUT_S = 60.0
MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 100000
"""
"""A broker for a trial on this machine alone; what is shipped asks for certificates."""


class Platform:
    """Everything but the devices, on free ports, in a folder of its own.

    Args:
        folder: for data, state and logs of the children.
        tell: prints what happens.

    """

    def __init__(self, folder: Path, tell: Teller) -> None:
        self._folder, self._tell = folder, tell
        self._family = Family(folder)
        self._http, self._broker = free_port(), free_port()
        self._token = secrets.token_urlsafe(12)
        self.api = Api(self._http, self._token)

    @property
    def broker_url(self) -> str:
        """Where gateways send."""
        return f"mqtt://127.0.0.1:{self._broker}"

    def check(self) -> None:
        """Look whether all children still run; StopService when one has ended."""
        self._family.check()

    async def start_cloud(self, *, settings: str = "", mosquitto: str | None = None) -> None:
        """Start the service and wait until it is ready.

        Args:
            settings: text of its settings file.
            mosquitto: program of a real broker; None: the small one inside the service.

        Raises:
            StopService: it is not ready in time, or has ended.

        """
        broker = await self._start_mosquitto(mosquitto) if mosquitto else None
        arguments = [
            *("serve", "--data", str(self._folder / "cloud"), "--http"),
            f"127.0.0.1:{self._http}",
            *(broker or ("--embedded-broker", f"127.0.0.1:{self._broker}")),
        ]
        if settings:
            config = self._folder / "cloud.toml"
            await asyncio.to_thread(config.write_text, settings, encoding="utf-8")
            arguments += ["--config", str(config)]
        self._family.start(
            "cloud",
            module_command("cloud", *arguments),
            {**module_environment(), "SUYUAN_ADMIN_TOKEN": self._token},
        )

        async def ready() -> bool | None:
            status, _ = await self.api.call("GET", "/readyz")
            return True if status == 200 else None

        await until(
            ready,
            timeout_s=READY_TIMEOUT_S,
            what="the service is ready",
            alive=self.check,
            every_s=0.1,
        )
        self._tell.say("消息代理与云服务已就绪", f"broker and service are ready, port {self._http}")

    async def _start_mosquitto(self, program: str) -> tuple[str, str]:
        """Start a real broker; return how the service is told of it."""
        config = self._folder / "mosquitto.conf"
        text = MOSQUITTO.format(port=self._broker)
        await asyncio.to_thread(config.write_text, text, encoding="utf-8")
        self._family.start("mosquitto", [program, "-c", str(config)])
        return "--broker", self.broker_url

    async def start_gateway(self, site_text: str) -> None:
        """Start a gateway with this site file."""
        site = self._folder / "site.toml"
        await asyncio.to_thread(site.write_text, site_text, encoding="utf-8")
        state = self._folder / "gateway"
        self._family.start(
            "gateway",
            module_command("edge", "run", "--site", str(site), "--state", str(state)),
            module_environment(),
        )
        self._tell.say("网关已启动", "gateway started")

    async def register(
        self, asset: str, *, kind: str, name: str, gateway: str, attributes: dict[str, str]
    ) -> None:
        """Register an asset; StopService when that is refused."""
        status, answer = await self.api.call(
            "PUT",
            f"/api/v1/assets/{asset}",
            {"kind": kind, "name": name, "gateways": [gateway], "attributes": attributes},
        )
        if status not in (200, 201):
            raise StopService(f"registering {asset} was answered {status}: {answer}")

    def invite(self, path: str = "/", *, rescue: bool = False) -> None:
        """Tell where the pages are, that of the rescue centre among them, and how to come in."""
        self._tell.plain()
        self._tell.plain(f"    控制台 | console:  http://127.0.0.1:{self._http}{path}")
        if rescue:
            self._tell.plain(f"    应急救援 | rescue:  http://127.0.0.1:{self._http}/rescue")
        self._tell.plain(f"    访问令牌 | access token:  {self._token}")
        self._tell.plain("    （登录页：使用访问令牌登录 | on the page: With the access token）")
        self._tell.plain("    Ctrl-C 结束 | Ctrl-C ends it")
        self._tell.plain()

    def stop(self) -> None:
        """End all children."""
        if self._family.children:
            self._tell.say("正在停止所有进程", "stopping all processes")
        self._family.stop()
