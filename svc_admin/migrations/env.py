"""Runs migrations inside the transaction that `ragmesh.storage.database.migrate` began."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="admin_schema",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
