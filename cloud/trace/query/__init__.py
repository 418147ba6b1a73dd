"""The EPCIS 2.0 query language: read once into frozen types, and said in SQL."""
