"""How Alembic runs here: inside the connection that the caller opened."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes.get("metadata"),
    version_table=f"schema_version_{attributes['name']}",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
