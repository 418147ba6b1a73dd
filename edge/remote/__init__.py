"""What the cloud may ask of a gateway: another configuration, other software, an answer."""
