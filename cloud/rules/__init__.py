"""Alert rules: CEL over an asset's newest values, with durable deadlines."""
