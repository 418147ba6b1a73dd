"""Items of the feed as messages of the Common Alerting Protocol 1.2."""
