"""`compile=`: torch.compile where it takes effect, counted, timed and bounded (docs/decisions/0012-compile.md)."""
