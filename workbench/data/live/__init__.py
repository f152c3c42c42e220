"""Live quotes: sources of updates, the feed through which readers follow them, and a cache of latest quotes."""
