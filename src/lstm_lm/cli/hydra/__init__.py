"""Hydra, and what stands between it and this project: free text, resolvers, what may be made, errors, plain dicts."""
