"""Batches on disk until the cloud has settled them."""
