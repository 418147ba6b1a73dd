"""The service as several processes on PostgreSQL: ingesters, and one that consumes and serves."""

from collections.abc import Sequence
from pathlib import Path

import httpx
from sqlalchemy import Connection

from cloud.model.database import Database
from cloud.model.ownership import Holding, read_all, want
from cloud.model.shards import ShardMap
from tests.support.mosquitto import free_port
from tests.support.postgres import Postgres
from tests.support.stack import TOKEN, Child, Stack, wait_until

CONFIG = """\
[database]
log_url = "{log}"
state_url = "{state}"
[ingest]
shard_groups = {groups}
"""


class Cluster:
    """A stack whose cloud is `consume` and `api`, with ingesters beside it."""

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        *,
        ingesters: int = 2,
        groups: int = 8,
        more_config: str = "",
        roles: Sequence[str] = ("consume", "api"),
        **options: object,
    ) -> None:
        self.log_url, self._state_url = postgres.new_database(), postgres.new_database()
        config = CONFIG.format(log=self.log_url, state=self._state_url, groups=groups)
        self.stack = Stack(
            folder,
            cloud_config=config + more_config,
            cloud_arguments=[word for role in roles for word in ("--role", role)],
            **options,  # type: ignore[arg-type]
        )
        self._ports = {f"ingest-{number}": free_port() for number in range(ingesters)}
        self.ingesters = {
            name: self.process(name, port, "ingest") for name, port in self._ports.items()
        }
        self.others: dict[str, Child] = {}
        """Further processes, by name."""
        self._shards = ShardMap(groups)
        self._database = Database(self.log_url, name="cluster")

    def process(self, name: str, port: int, *roles: str) -> Child:
        """Make one more process of the service."""
        return Child(
            name,
            [
                *("cloud", "serve", "--data", str(self.stack.folder / name)),
                *("--http", f"127.0.0.1:{port}", "--broker", self.stack.broker.url),
                *("--config", str(self.stack.cloud_config), "--name", name),
                *(word for role in roles for word in ("--role", role)),
            ],
            self.stack.folder,
            environment={"SUYUAN_ADMIN_TOKEN": TOKEN},
        )

    def start(self) -> None:
        """Start everything and wait until all groups have an owner."""
        self.stack.start()
        for child in self.ingesters.values():
            child.start()
        for name in self.ingesters:
            self.wait_ready(name)
        wait_until(
            lambda: all(row.owner for row in self.groups()), timeout_s=20, what="all groups owned"
        )

    def wait_ready(self, name: str) -> None:
        """Wait until an ingester is ready."""
        port, child = self._ports[name], self.ingesters[name]
        try:
            wait_until(
                lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200,
                timeout_s=30,
                what=f"{name} ready",
            )
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{child.tail()}") from None

    def groups(self) -> list[Holding]:
        """Return who owns which shard group."""
        rows = self._database.read_now(read_all)
        return [row for row in rows if "-" in row.name]

    def owner(self, name: str) -> str | None:
        """Return who owns a shard group, or `consume`."""
        return {row.name: row.owner for row in self._database.read_now(read_all)}.get(name)

    def group_of(self, gateway: str) -> str:
        """Return the name of the shard group of a gateway."""
        return self._shards.of_gateway(gateway)

    def move(self, group: str, to: str) -> None:
        """Say where a group is wanted, and wait until it is there."""

        def say(connection: Connection) -> bool:
            return want(connection, group, to)

        assert self._database.write_now(say)
        wait_until(
            lambda: any(row.name == group and row.owner == to for row in self.groups()),
            timeout_s=20,
            what=f"{group} moved to {to}",
        )

    def stop(self) -> None:
        """End everything."""
        for child in self.ingesters.values():
            child.kill()
        self.stack.stop()
        self._database.close()
