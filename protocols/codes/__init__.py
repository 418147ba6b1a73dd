"""What codes printed on things say: GS1 keys, links, and plain codes."""
