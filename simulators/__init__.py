"""Lifts, gateways and faults that speak over real interfaces."""
