"""The XML binding of EPCIS, 1.2 and 2.0: into the shape of the JSON binding, and out of it."""
