"""A backtest for every point of a grid: compiled where the rule allows it, in blocks, here or on a cluster."""
