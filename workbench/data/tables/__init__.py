"""Append-only tables of facts, on Delta Lake (a folder or S3) or on PostgreSQL: one contract, tested once for all."""
