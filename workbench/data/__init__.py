"""Bringing data in: providers, quality, store, catalog. Nothing else fetches or stores market data."""
