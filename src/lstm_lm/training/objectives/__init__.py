"""What a model is trained to do, one file per option of `objective=`; the LightningModule delegates to one of these."""

NOT_OPTIONS = frozenset({"interface", "build"})
