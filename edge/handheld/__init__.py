"""The handheld: what it keeps, who works with it, how it gives its records to the service."""
