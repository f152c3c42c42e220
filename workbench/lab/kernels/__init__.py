"""The model kernels: what they offer, and how they start at once by a fork of a process that is warm."""
