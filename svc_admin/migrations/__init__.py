"""The schema of the admin service, step by step; alembic runs what a database has not seen yet."""

from pathlib import Path

MIGRATIONS = Path(__file__).parent
