"""Stacked-LSTM language models: train, load, generate."""

__version__ = "0.1.0"
