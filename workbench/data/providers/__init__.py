"""Where market data comes from. Every provider, ours included, enters through ``workbench.providers``."""
