"""The model taken elsewhere: files that other programs read, each tried against the model before it is kept."""
