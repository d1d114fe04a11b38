"""A text through an autoencoder: read into a vector, written again from the vector alone."""

import torch

from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.tokenizers.interface import Tokenizer, Unknown


@torch.no_grad()
def reconstruct(model: Autoencoder, tokenizer: Tokenizer, text: str, unknown: Unknown = "error") -> str:
    """What greedy decoding makes of the vector of `text`, as many tokens as it has; dropout is off meanwhile.

    Raises:
        UserError: the tokenizer does not know `text`.
    """
    ids = tokenizer.encode(text, unknown).ids
    if not len(ids):
        return ""
    training = model.training
    model.eval()
    try:
        tokens = torch.from_numpy(ids).to(model.embedding.weight.device).unsqueeze(1)
        lengths = torch.tensor([len(ids)], device=tokens.device)
        return tokenizer.decode(model.decode(model.encode(tokens, lengths), len(ids))[:, 0].tolist())
    finally:
        model.train(training)
