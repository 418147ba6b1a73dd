"""Everything that can be read: each source turns one device or bus into samples."""
