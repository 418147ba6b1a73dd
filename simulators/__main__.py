"""The command line of the simulators: `suyuan-sim serve | run | demo | lift-platform | list`."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from protocols.border import load_toml
from protocols.clock import SystemClock
from protocols.errors import FixConfiguration, SuyuanError
from simulators import filling_hall, filling_station
from simulators.city_run import CityOptions, run_city, token_from
from simulators.cylinder_fleet import run_fleet
from simulators.demo import run_demo
from simulators.lift_platform import PlatformWishes, run_platform
from simulators.run import run_scenario
from simulators.scenario import load_scenario, scenario_files
from simulators.serve import ServeOptions, known_controllers, serve_lifts

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Simulated lifts behind real Modbus, scenarios, and the whole system on one machine.",
)


@app.command()
def serve(
    controller: Annotated[str, typer.Option(help="Id of a controller file")],
    lifts: Annotated[int, typer.Option(min=1, max=10_000, help="How many lifts")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="First TCP port; 0: no TCP")] = 0,
    lifts_per_port: Annotated[
        int, typer.Option(min=1, max=247, help="Lifts on one port, as units 1, 2, …; then the next")
    ] = 247,
    rtu: Annotated[
        str, typer.Option(help="Serial device too; a path that is not there becomes a pseudo one")
    ] = "",
    baud_rate: Annotated[int, typer.Option(min=300, help="Of the serial device")] = 9600,
    rtu_over_tcp: Annotated[bool, typer.Option(help="RTU frames on the TCP ports")] = False,
    control: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the control socket; 0: none")
    ] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    traffic: Annotated[str, typer.Option(help="none, mixed, up_peak or down_peak")] = "mixed",
    trips_per_hour: Annotated[float, typer.Option(min=0, help="People coming to a lift")] = 30.0,
    floors: Annotated[int, typer.Option(min=2, max=200, help="Floors of each lift")] = 12,
    seed: Annotated[int, typer.Option(help="Of all chance")] = 1,
    bridged: Annotated[
        bool, typer.Option(help="Short gaps between registers read as 0, else they are refused")
    ] = True,
    overlay: Annotated[Path | None, typer.Option(help="A site's own data files")] = None,
) -> None:
    """Serve lifts over Modbus until SIGTERM."""
    options = ServeOptions(
        controller=controller,
        lifts=lifts,
        host=host,
        port=port,
        lifts_per_port=lifts_per_port,
        rtu=rtu,
        baud_rate=baud_rate,
        rtu_over_tcp=rtu_over_tcp,
        control=control,
        traffic=traffic,
        trips_per_hour=trips_per_hour,
        floors=floors,
        seed=seed,
        bridged=bridged,
        overlay=overlay,
    )
    _finish(serve_lifts(options, typer.echo))


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="A shipped scenario (see `list`), or a file")],
    broker: Annotated[
        str, typer.Option(help="mqtt://HOST:PORT: also start a gateway that sends there")
    ] = "",
    site: Annotated[Path | None, typer.Option(help="Write the gateway's site file here")] = None,
    control: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the control socket; 0: none")
    ] = 0,
) -> None:
    """Play a scenario in real time over real interfaces.

    `filling_station` and `filling_hall` start all they need.
    """
    if scenario == filling_station.NAME:
        _finish(filling_station.run_station(typer.echo))
        return
    if scenario == filling_hall.NAME:
        _finish(filling_hall.run_hall(typer.echo))
        return
    path = scenario_files().get(scenario, Path(scenario))
    _finish(run_scenario(path, broker=broker, site=site, control=control, write=typer.echo))


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after one entrapment, with its latency")
    ] = False,
) -> None:
    """Show the whole system alive: broker, service, gateway, lifts, an entrapment."""
    raise typer.Exit(run_demo(once=once, write=typer.echo))


@app.command()
def fleet(
    cylinders: Annotated[int, typer.Option(min=1, max=2_000_000, help="How many")] = 300_000,
    years: Annotated[int, typer.Option(min=1, max=30, help="How many pass")] = 3,
    seed: Annotated[int, typer.Option(help="Of all chance")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the cylinders, as the registry imports them")
    ] = None,
) -> None:
    """Let years pass over a city's cylinders; exit 1 if one was filled that must not be."""
    try:
        run_fleet(cylinders, years, seed, out, typer.echo)
    except SuyuanError as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def lift_platform(
    url: Annotated[str, typer.Option(help="Of the service, such as http://127.0.0.1:8080")],
    platform: Annotated[str, typer.Option(help="Id of the platform, registered there")],
    dialect: Annotated[str, typer.Option(help="As it is registered")] = "special-equipment",
    version: Annotated[str, typer.Option(help="Of the dialect")] = "1",
    lifts: Annotated[int, typer.Option(min=1, max=20_000, help="How many")] = 10,
    interval_s: Annotated[float, typer.Option(min=0, help="Between two rounds")] = 10.0,
    steps: Annotated[int, typer.Option(min=0, help="Rounds; 0: until stopped")] = 0,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share sent twice")] = 0.0,
    disorder: Annotated[float, typer.Option(min=0, max=1, help="Share sent a round late")] = 0.0,
    unknown: Annotated[float, typer.Option(min=0, max=1, help="Share with an unknown code")] = 0.0,
    entrapments: Annotated[float, typer.Option(min=0, max=1, help="Of a lift and round")] = 0.0,
    clock_off_s: Annotated[float, typer.Option(help="The platform's clock is behind by it")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of all chance")] = 1,
) -> None:
    """Report lifts by REST as an enterprise platform does; its secret: $SUYUAN_PLATFORM_SECRET."""
    wishes = PlatformWishes(
        url=url,
        platform=platform,
        secret=os.environ.get("SUYUAN_PLATFORM_SECRET", ""),
        dialect=dialect,
        version=version,
        lifts=lifts,
        interval_s=interval_s,
        steps=steps,
        duplicates=duplicates,
        disorder=disorder,
        unknown=unknown,
        entrapments=entrapments,
        clock_off_s=clock_off_s,
        seed=seed,
    )
    _finish(run_platform(wishes, SystemClock(), typer.echo))


@app.command()
def city(
    lifts: Annotated[int, typer.Option(min=1, max=100_000, help="How many")] = 20_000,
    hours: Annotated[float, typer.Option(min=0.01, help="Of the city's time")] = 24.0,
    pace: Annotated[
        float, typer.Option(min=0.1, max=1_000, help="So many times as fast as life")
    ] = 30.0,
    seed: Annotated[int, typer.Option(help="Of all chance")] = 1,
    troubles: Annotated[
        float, typer.Option(min=0.001, help="People are trapped so many times as often")
    ] = 1.0,
    server: Annotated[
        str, typer.Option(help="http://127.0.0.1:PORT of a running service; default: its own")
    ] = "",
    broker: Annotated[str, typer.Option(help="mqtt://HOST:PORT of that service")] = "",
) -> None:
    """Let a city's lifts live, and its people answer; exit 1 if one entrapment was lost.

    For a running service the access token comes from $SUYUAN_TOKEN.
    """
    if bool(server) != bool(broker):
        typer.echo("Give --server and --broker together.", err=True)
        raise typer.Exit(2)
    options = CityOptions(
        lifts=lifts,
        hours=hours,
        pace=pace,
        seed=seed,
        troubles=troubles,
        server=server,
        broker=broker,
        token=token_from("SUYUAN_TOKEN"),
    )
    raise typer.Exit(run_city(options, typer.echo))


@app.command("list")
def list_all() -> None:
    """List scenarios and controllers."""
    typer.echo("场景 | scenarios")
    for name, path in scenario_files().items():
        scenario = load_scenario(path)
        typer.echo(f"  {name:22} {scenario.title_zh} | {scenario.title}")
    story = load_toml(filling_station.FILE, filling_station.Story)
    typer.echo(f"  {filling_station.NAME:22} {story.title_zh} | {story.title}")
    hall = filling_hall.load_story()
    typer.echo(f"  {filling_hall.NAME:22} {hall.title_zh} | {hall.title}")
    typer.echo("控制器 | controllers")
    for name, controller in known_controllers(None).items():
        typer.echo(f"  {name:22} {', '.join(controller.products)}")


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Run until done or told to stop; faults of files exit 2, other known errors 1."""
    try:
        asyncio.run(_until_signal(work))
    except FixConfiguration as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except SuyuanError as error:
        typer.echo(f"stopped: {error}", err=True)
        raise typer.Exit(1) from None


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
