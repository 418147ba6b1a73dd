"""Messages to the regulator, made of what the registry holds, and sent with receipts."""
