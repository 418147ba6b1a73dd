"""What readers and scanners saw, kept so that people can look it up."""
