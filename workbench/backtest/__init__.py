"""Proving: strategies, the engine that fills them, and what they would have earned."""
