"""The resolver: from the code of a thing to what is told of it elsewhere."""
