"""EPCIS 2.0 and CBV 2.0: events as this service holds them, whatever binding they came in."""
