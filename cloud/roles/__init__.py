"""What a process of the service can be: it ingests, consumes the log, serves HTTP, or all of it."""
