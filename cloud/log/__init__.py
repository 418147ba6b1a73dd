"""The durable log: the heart. Appended by the ingester, read in order by consumers."""
