"""Feedback and its photos."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# As of this version: schema.py goes on changing, and this must not.
_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("client", sa.String(32)),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("model_version", sa.String(64), nullable=False),
        sa.Column("prediction", sa.String(200), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("confidence_bin", sa.SmallInteger(), nullable=False),
        sa.Column("recognized", sa.Boolean(), nullable=False),
        sa.Column("correction", sa.String(200)),
        sa.Column("truth", sa.String(200), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("photo_sha256", sa.String(64)),
        sa.UniqueConstraint("client", "request_id", name="feedback_once_a_client"),
        sqlite_autoincrement=True,
    )
    op.create_index("feedback_client_created", "feedback", ["client", "created_at"])
    op.create_index("feedback_created", "feedback", ["created_at"])
    op.create_index("feedback_photo", "feedback", ["photo_sha256"])
    op.create_table(
        "photos",
        sa.Column("seq", _SEQUENCE, sa.ForeignKey("feedback.seq", ondelete="CASCADE"), primary_key=True,
                  autoincrement=False),
        sa.Column("width", sa.SmallInteger(), nullable=False),
        sa.Column("height", sa.SmallInteger(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("photos")
    op.drop_table("feedback")
