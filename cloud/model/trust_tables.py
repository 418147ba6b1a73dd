"""The tables of the authority's own database. Times are ms since 1970 UTC."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table

from cloud.model.tables import String, Text

trust_metadata = MetaData()

invite = Table(
    "invite",  # the newest of a gateway; an earlier one is void
    trust_metadata,
    Column("gateway", String(64), primary_key=True),
    Column("key", LargeBinary, nullable=False),  # made of the code by a one-way function
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("tries_left", Integer, nullable=False),
    Column("serial", String(40)),  # of the certificate that it brought
)

certificate = Table(
    "certificate",  # of gateways, until they are too old to be renewed
    trust_metadata,
    Column("serial", String(40), primary_key=True),  # hexadecimal
    Column("gateway", String(64), nullable=False),
    Column("public_key", String(64), nullable=False),  # SHA-256
    Column("pem", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("renews", String(40)),  # the serial of the one before
    Column("revoked_at", BigInteger),
    Column("reason", String(32)),
    Index("certificate_by_gateway", "gateway", "issued_at"),
)

refusal = Table(
    "refusal",  # what the broker refused: one row per kind, person and thing
    trust_metadata,
    Column("kind", String(32), primary_key=True),
    Column("who", String(64), primary_key=True),
    Column("what", String(200), primary_key=True),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
)

log_place = Table(
    "log_place",  # how far the broker's log has been read
    trust_metadata,
    Column("file", String(200), primary_key=True),
    Column("inode", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
)
