"""Measures of risk and return. Pure."""
