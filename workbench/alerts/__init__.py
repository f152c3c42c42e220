"""Alerts: rules on prices, indicators and signals; what fires, what nearly does, and that it is told once."""
