"""The one way by which the service calls out over HTTP."""
