"""Who is who: assets and gateways."""
