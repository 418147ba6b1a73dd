"""The service: ingest, log, consumers, HTTP, pages."""
