"""Averages of the weights over the steps of training, one file per option of `averaging=`."""

NOT_OPTIONS = frozenset({"interface", "build"})
