"""Enterprise platforms that report lifts by REST: who they are, what is taken of them."""
