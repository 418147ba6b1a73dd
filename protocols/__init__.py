"""What gateway and cloud agree on: types, wire format, catalog. Pure."""
