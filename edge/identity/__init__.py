"""Who this gateway is: its key and certificate, and how it gets them."""
