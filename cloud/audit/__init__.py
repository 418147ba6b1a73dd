"""The keeping of the audit: its key, its heads, its verification, looks at personal data."""
