"""The parts of the DuckDB store: one file per UTC day."""
