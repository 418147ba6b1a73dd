"""`suyuan-cloud retention`: the rules of data, and carrying them out by hand."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cloud.migrations import migrate
from cloud.model.data_rule import DataRules, Step
from cloud.model.database import Database
from cloud.model.load_data_rules import load_data_rules
from cloud.model.retention import StepReport
from cloud.retention.job import RetentionJob
from cloud.retention.pseudonyms import Pseudonyms, open_pseudonyms
from cloud.roles.audit import noting
from cloud.service import lock_folder
from cloud.settings import Settings, days_of, load_settings
from cloud.trust.setup import ca_folder, has_authority
from protocols.clock import SystemClock, iso
from protocols.errors import FixConfiguration, StopService, SuyuanError

retention = typer.Typer(
    no_args_is_help=True,
    help="The rules of data: how long each kind stays, and letting go of what is past its term.",
)
Config = Annotated[Path | None, typer.Option(help="Settings file (TOML)")]
SAID = {
    "uncounted": "done",
    "elsewhere": "left to the running service",
    "not_here": "its database is not in this folder",
    "held": "kept for what is on hold",
}


@retention.command()
def run(
    data: Annotated[Path, typer.Option(help="Data folder of the service")],
    config: Config = None,
    dry_run: Annotated[bool, typer.Option(help="Only count what is due")] = False,
) -> None:
    """Carry the rules out now; the service of the folder must be stopped but for a dry run."""
    with _errors():
        settings = load_settings(config)
        rules = _rules(settings)
        with contextlib.ExitStack() as stack:
            job = _job(data, settings, rules, stack, writes=not dry_run)
            report = asyncio.run(_count(job) if dry_run else _run(job))
        for one in report:
            typer.echo(_line(one, "would go" if dry_run else "went"))


@retention.command("rules")
def show_rules(config: Config = None) -> None:
    """Show each kind of data with its terms."""
    with _errors():
        rules = _rules(load_settings(config))
        for rule in rules.rules:
            typer.echo(f"{rule.id}: {rule.title}")
            for step in rule.step:
                typer.echo(f"    {_term(rules, step)}")
            if rule.stays:
                typer.echo(f"    stays: {rule.stays}")
            if (asked := rules.too_short(rule)) is not None:
                typer.echo(f"    shorter than a source asks: {asked:g} days")


def _rules(settings: Settings) -> DataRules:
    overlay = settings.rules_overlay
    return load_data_rules(days_of(settings), Path(overlay) if overlay else None)


async def _run(job: RetentionJob) -> Sequence[StepReport]:
    return (await job.run()).report


async def _count(job: RetentionJob) -> Sequence[StepReport]:
    return await job.preview()


def _job(
    data: Path, settings: Settings, rules: DataRules, stack: contextlib.ExitStack, *, writes: bool
) -> RetentionJob:
    urls = {
        "log": settings.database.log_url or f"sqlite:///{data / 'log.db'}",
        "state": settings.database.state_url or f"sqlite:///{data / 'state.db'}",
    }
    if has_authority(data):
        urls["trust"] = f"sqlite:///{ca_folder(data) / 'trust.db'}"
    if not settings.database.state_url and not (data / "state.db").exists():
        raise StopService(f"{data}: expected the databases of a service, found none")
    if writes:
        stack.callback(lock_folder(data).close)
    databases = {}
    for name, url in urls.items():
        databases[name] = database = Database(url, name=name)
        stack.callback(database.close)
        if writes:
            migrate(database.engine, name)
    return RetentionJob(
        rules=rules,
        databases=databases,
        pseudonyms=open_pseudonyms(data) if writes else Pseudonyms(b""),
        clock=SystemClock(),
        holds=settings.retention.holds,
        noted=noting(data, settings),
    )


def _line(one: StepReport, went: str) -> str:
    what = f"{one.rule}: {one.do} {one.table}, {one.since} before {iso(one.before)}"
    return f"{what}: {SAID.get(one.outcome) or f'{one.rows} rows {went}'}"


def _term(rules: DataRules, step: Step) -> str:
    columns = f" {', '.join(step.columns)} of" if step.columns else ""
    setting = f" ({step.setting})" if step.setting else ""
    return f"{step.do}{columns} {step.table} {rules.days(step):g} days after {step.since}{setting}"


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """End the program with what is wrong."""
    try:
        yield
    except FixConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except SuyuanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
