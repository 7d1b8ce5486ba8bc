"""Keys by which clients tell that they upload the same thing again."""

import sqlalchemy as sa
from alembic import op

from ragmesh.storage.database import Instant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "upload_keys",
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("collection_id", sa.String(36), nullable=False),
        sa.Column("document_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", Instant, nullable=False),
    )
    op.create_index("upload_keys_age", "upload_keys", ["created_at"])


def downgrade() -> None:
    op.drop_table("upload_keys")
