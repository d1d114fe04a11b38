"""The loop that people write today, with PyTorch's defaults: torch.nn.LSTM in float32, torch.optim.Adam, no more.

In the manner of word-level language models since 2015: the text as one matrix `[N // B, B]`, windows sliced from it,
the hidden state carried and detached, the norm of the gradient clipped, the loss printed every so many steps.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

LOG_EVERY = 50
State = tuple[Tensor, Tensor]


class Model(nn.Module):
    """Embedding, LSTM, projection."""

    def __init__(self, vocabulary: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers, self.hidden = layers, hidden
        self.encoder = nn.Embedding(vocabulary, embedding)
        self.rnn = nn.LSTM(embedding, hidden, layers)
        self.decoder = nn.Linear(hidden, vocabulary)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """`tokens[T, B]` -> `logits[T * B, V]`, and the state."""
        y, state = self.rnn(self.encoder(tokens), state)
        logits = self.decoder(y)
        return logits.view(-1, logits.shape[-1]), state

    def zero_state(self, batch: int) -> State:
        """Before any token."""
        like = next(self.parameters())
        return like.new_zeros(self.layers, batch, self.hidden), like.new_zeros(self.layers, batch, self.hidden)


def training_steps(
    model: Model, epochs: Sequence[tuple[Tensor, Tensor]], steps: int, lr: float, clip: float
) -> Iterator[Tensor]:
    """Training steps over windows of T = `steps`; gives each step's loss.

    `epochs` are pairs `(inputs[N // B, B], targets[N // B, B])` on the model's device, gone through in turn for ever.
    """
    model.train()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    count, logged = 0, 0.0
    while True:
        for inputs, targets in epochs:
            state = model.zero_state(inputs.shape[1])
            for start in range(0, len(inputs), steps):
                state = (state[0].detach(), state[1].detach())
                model.zero_grad()
                logits, state = model(inputs[start : start + steps], state)
                loss = criterion(logits, targets[start : start + steps].reshape(-1))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                count += 1
                if count % LOG_EVERY == 0:
                    logged += loss.item()  # waits for the device, as printing it would
                yield loss.detach()
