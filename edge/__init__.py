"""The gateway: reads devices, keeps what it read on disk, and pushes it over MQTT."""
