"""`format=html`: a page that writes. Its sources are in `source/`; an export joins them with a model into one file."""
