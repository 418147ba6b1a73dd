"""Schema versions of both databases, one folder each; applied at every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy.engine import Engine

from cloud.model.database import take_turn
from protocols.errors import StopService

FOLDER = Path(__file__).parent


def migrate(engine: Engine, name: str) -> None:
    """Bring database `log` or `state` to the newest schema, all in one transaction.

    Raises:
        StopService: the database is of a newer version than this program knows.

    """
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("version_locations", str(FOLDER / name))
    config.set_main_option("path_separator", "newline")
    with engine.begin() as connection:
        take_turn(connection, "migrations")
        config.attributes.update(connection=connection, name=name)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StopService(
                f"database {name}: made by a newer version of this program, or damaged: {error}"
            ) from error
