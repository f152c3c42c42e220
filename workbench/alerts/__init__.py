"""Alerts: rules on bars, streams and runs; what fires, what nearly does, and that it is told, once, where it should."""
