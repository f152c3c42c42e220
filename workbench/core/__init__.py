"""The ground: words that every other room shares. It imports no other room."""
