"""The rescue centre's desk over HTTP."""
