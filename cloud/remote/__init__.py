"""What is asked of gateways: commands, configurations, releases; and what came of it."""
