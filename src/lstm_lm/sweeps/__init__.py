"""Sweeps whose rows each run in a fresh process, known by the hash of their configuration. No Hydra in here."""
