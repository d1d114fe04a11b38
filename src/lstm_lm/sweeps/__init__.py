"""Rows, each known by its hash and run in a fresh process: sweeps and studies alike. No Hydra in here."""
