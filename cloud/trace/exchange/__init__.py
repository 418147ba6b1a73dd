"""The client side of EPCIS 2.0: events fetched from other repositories, and sent to them."""
