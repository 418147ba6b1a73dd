"""The trace repository: EPCIS events, what can be asked of them, and where things come from."""
