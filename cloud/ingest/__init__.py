"""From MQTT to the log: check, append, acknowledge."""
