"""Several processes that train one model, one a device.

`launch.py` starts them on this machine; torchrun and SLURM start them elsewhere. From there on all is one path: they
meet (`join.py`), and what they tell each other goes through a `Team` (`team.py`). Rank 0 runs `training/train.py`,
sends the others the plan, and alone writes. Lightning's DDP strategy does the rest.
"""
