"""How much a catalogue held"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalogue_held",
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("what", sa.String(length=96), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "what", name=op.f("pk_catalogue_held")),
    )


def downgrade() -> None:
    op.drop_table("catalogue_held")
