"""What Alembic runs to migrate: in the transaction that the caller opened and locked (database.py)."""

from alembic import context

from services.feedback.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("error: run python -m services.feedback migrate, which names the database and locks it")
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite can change tables only by copying them; and both databases can take a change of the schema back.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
