"""Types, tables and the database that several stages of the cloud share."""
