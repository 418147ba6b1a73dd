"""What the engines that run as servers of their own have in common."""
