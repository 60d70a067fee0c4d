"""The schema's history: one file a version in `versions`, run by Alembic."""
