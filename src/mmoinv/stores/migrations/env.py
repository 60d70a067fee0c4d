"""What Alembic runs: the versions, on the connection that `mmoinv.stores.schema` hands over."""

from alembic import context

from mmoinv.stores.tables import METADATA, VERSION_TABLE

# Alembic runs this file; whoever just imports it starts nothing.
if hasattr(context, "config"):
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
    )
    with context.begin_transaction():
        context.run_migrations()
