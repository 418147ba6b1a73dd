"""A setup without files, for an agent whose sources come from the test."""

from pathlib import Path

from edge.catalog import Catalog
from edge.settings import Site
from edge.setup import Setup


def setup_of(site: Site) -> Setup:
    """Return what an agent needs to know of a site."""
    return Setup(
        version=0,
        file=Path(),
        site=site,
        site_sha256="ab",
        overlay=None,
        catalog=Catalog({}, {}, {}, {}, {}),
    )
