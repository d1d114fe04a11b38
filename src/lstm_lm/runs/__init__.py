"""The only owner of the run directory: its paths, checkpoints, metrics, summary, and how a run is found again."""
