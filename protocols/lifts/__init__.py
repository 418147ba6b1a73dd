"""The file of a lift: what it is, what happened to it, what is due and when, with proof."""
