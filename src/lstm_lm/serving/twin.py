"""The same model once more, for other work meanwhile: its weights are shared, its forward strategy is its own."""

import torch

from lstm_lm.models.build import blank_model
from lstm_lm.models.loading import Loaded


def twin(loaded: Loaded) -> Loaded:
    """Another model with the weights of `loaded`, which take no more memory."""
    weights = loaded.model.state_dict()
    like = next(loaded.model.parameters())
    model = blank_model(loaded.config["model"], loaded.tokenizer.vocabulary_size).to(like.dtype)
    model.load_state_dict(weights, assign=True)
    made = Loaded(model.to(like.device).eval(), loaded.tokenizer)
    made.__dict__.update(loaded.__dict__)
    return made


def in_float32(loaded: Loaded) -> Loaded:
    """Another model with these weights in float32 on the CPU, as what is exported."""
    made = twin(loaded)
    made.model.to(device="cpu", dtype=torch.float32)
    made.autocast = None
    return made
