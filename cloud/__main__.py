"""The command line of the cloud: `suyuan-cloud serve`, `check`, `shards`, and who may come in.

A command's module is read when it is asked for: the service needs two seconds for all of its own,
and who makes a code for a gateway, on a small machine, should not wait for them.
"""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "serve": "cloud.commands_serve:serve",
    "shards": "cloud.commands_stores:shards",
    "check": "cloud.commands_stores:check",
    "broker": "cloud.trust.commands:broker",
    "ca": "cloud.trust.commands:ca_app",
    "gateway": "cloud.trust.commands:gateway_app",
    "remote": "cloud.commands_remote:remote",
    "account": "cloud.commands_account:account_app",
    "audit": "cloud.commands_audit:audit_app",
    "retention": "cloud.commands_retention:retention",
}
"""Where each one is: a function, or a group of commands."""


class _Lazy(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return [*COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, typer.Typer):
            group = typer.main.get_group(found)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(found)
        return typer.main.get_command(alone)


app = typer.Typer(cls=_Lazy, no_args_is_help=True, add_completion=False)


@app.callback()
def cloud() -> None:
    """The service: takes what gateways send, keeps it, raises alarms, shows them."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
