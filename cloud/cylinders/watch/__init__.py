"""The watch over cylinders: what comes upon work lists, who is told, and what is counted."""
