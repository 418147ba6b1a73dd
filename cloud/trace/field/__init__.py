"""Scans of gateways as EPCIS events."""
