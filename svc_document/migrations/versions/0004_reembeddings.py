"""Re-embeddings with another model."""

import sqlalchemy as sa
from alembic import op

from ragmesh.storage.database import Instant

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "reembeddings",
        sa.Column("model", sa.String(80), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("done_until", sa.String(36), nullable=False),
        sa.Column("chunks_done", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("token", sa.String(36)),
        sa.Column("lease_until", Instant),
        sa.Column("created_at", Instant, nullable=False),
        sa.Column("updated_at", Instant, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("reembeddings")
