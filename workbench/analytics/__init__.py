"""Thinking about prices: indicators and signals. Pure: data in, data out."""
