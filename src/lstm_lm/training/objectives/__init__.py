"""What a model is trained to do; the LightningModule delegates to one of these."""
