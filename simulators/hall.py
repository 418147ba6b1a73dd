"""All places of a filling hall, their people, and the gateway's site file."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from simulators.hall_crew import Crew, Result
from simulators.hall_panel import Panel
from simulators.hall_place import FillingPlace
from simulators.hall_story import Place, Story, Visit
from simulators.processes import free_port
from simulators.site import site_text

Dial = Callable[[str], socket.socket]
"""Connects to the slot of a PC/SC reader by its name."""


class Hall:
    """The devices of a story, plugged in by `open`; people work in `work`.

    Args:
        story: what there is.
        folder: where serial lines have their names.
        dial: of a pcscd, where a place has a PC/SC reader.
        tell: told of each bottle when it has left.

    """

    def __init__(
        self,
        story: Story,
        folder: Path,
        *,
        dial: Dial | None = None,
        tell: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self.story, self.screen_port = story, free_port()
        self.panel = Panel(self.screen_port)
        self.places = {
            one.id: FillingPlace(one, story, folder, dial=_slot(one, dial)) for one in story.places
        }
        self.crews = {
            name: Crew(place, self.panel, story, tell) for name, place in self.places.items()
        }

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Switch all on until the stack ends."""
        for place in self.places.values():
            await place.open(stack)
        watching = asyncio.create_task(self.panel.run())
        stack.callback(watching.cancel)

    def site(self, broker: str = "") -> str:
        """Write the gateway's site file; without a broker it sends where it enrolled."""
        places = self.places.values()
        buses = [bus for place in places for bus in place.bus()]
        head = site_text(self.story.gateway, broker, buses)
        if not broker:
            head = head.replace('[uplink]\nbroker = ""\n', "")
        local = f'[local]\nscreen = "127.0.0.1:{self.screen_port}"\n'
        return f"{head}\n{local}" + "".join(place.site() for place in places)

    async def work(self, visits: Iterable[Visit] | None = None) -> list[Result]:
        """Let all places take their bottles side by side; return what became of each.

        Raises:
            StopService: a place does not become free.

        """
        wanted = tuple(self.story.visits if visits is None else visits)
        begun = {name: len(crew.results) for name, crew in self.crews.items()}
        async with asyncio.TaskGroup() as group:
            for name, crew in self.crews.items():
                group.create_task(crew.work([one for one in wanted if one.place == name]))
        return [
            result for name, crew in self.crews.items() for result in crew.results[begun[name] :]
        ]


def _slot(place: Place, dial: Dial | None) -> Callable[[], socket.socket] | None:
    """Return how to connect to a place's PC/SC slot; other readers have none."""
    if place.reader != "pcsc":
        return None
    if dial is None:
        raise ValueError(f"{place.id}: a PC/SC reader needs a pcscd")
    return partial(dial, place.id)
