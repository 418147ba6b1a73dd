"""From the spool to the cloud: order, windows, acknowledgements."""
