"""Vectors of texts: a line or a window in, one row of float32 out."""
