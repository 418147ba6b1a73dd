"""The registry of gas cylinders: files, codes, changes, inspections, permits, imports."""
