"""The grid of (layer, time chunk) cells: planned, run on threads, streams or devices, forwards and backwards."""
