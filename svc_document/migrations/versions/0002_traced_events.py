"""Events carry the trace context of what made them happen."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("outbox", sa.Column("traceparent", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("outbox", "traceparent")
