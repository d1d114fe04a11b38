"""`model=autoencoder`: a text becomes one vector, and the vector the text again.

Sequence to sequence (Sutskever, Vinyals and Le, "Sequence to Sequence Learning with Neural Networks", 2014), trained to
give back what it was given (Dai and Le, "Semi-supervised Sequence Learning", 2015):

    encode(tokens[T, B], lengths[B]) -> vector[B, Z]
    model(previous[T, B], decoding(vector)) -> logits[T, B, V], state

The decoder is a language model that reads the vector at every step. A decoder that sees every preceding token can do
without the vector; so in training some of them are hidden from it (word dropout: Bowman et al., "Generating Sentences
from a Continuous Space", 2016, section 3.1).

Reading from both ends takes two stacks of one direction, whose last outputs are joined, and not layers of two
directions: so every forward strategy runs them. docs/decisions/0019 says more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward.choose import AUTO, SelectedStrategy, choose
from lstm_lm.forward.interface import Masks, StackState, Workload
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.masked_layers import MaskedEmbedding, MaskedLinear
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.models.widths import LayerWidths
from lstm_lm.options import Probability, Width

DecoderState = tuple[Tensor, StackState]
"""The vector [B, Z], and the state of the decoder's layers."""


class AutoencoderOptions(LayerWidths):
    """The `model` section of `model=autoencoder`."""

    name: str
    latent_size: Width
    bidirectional: bool
    dropout: Probability
    word_dropout: Annotated[float, Field(ge=0, le=1)]
    forget_bias: Annotated[float, Field(ge=-10, le=10)]


class Autoencoder(LanguageModel):
    """Encoder, vector, decoder. As a `LanguageModel` it is the decoder, whose state holds the vector."""

    OptionsType: ClassVar[type[AutoencoderOptions]] = AutoencoderOptions
    objective = "reconstruction"
    compilable = ("embedding", "to_vector", "head")

    def __init__(self, options: AutoencoderOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self.options = options
        widths = options.hidden_sizes
        self.vector_size = options.latent_size
        self.nothing = vocabulary_size
        """The id of what is before a text's first token, of padding, and of a token that is hidden."""
        self.embedding = MaskedEmbedding(vocabulary_size + 1, options.embedding_size)
        self.encoder = RecurrentStack(LSTM, options.embedding_size, widths, initialise=False)
        self.from_the_end = (
            RecurrentStack(LSTM, options.embedding_size, widths, initialise=False) if options.bidirectional else None
        )
        self.to_vector = MaskedLinear(widths[-1] * (2 if options.bidirectional else 1), options.latent_size)
        self.decoder = RecurrentStack(
            LSTM, options.embedding_size + options.latent_size, widths[::-1], initialise=False
        )
        self.head = MaskedLinear(widths[0], vocabulary_size)

    def reset_parameters(self) -> None:
        for stack in self._stacks():
            stack.reset_parameters()
            with torch.no_grad():
                for weights in stack.layer_parameters():
                    weights.bias_ih.chunk(4)[1].fill_(self.options.forget_bias)
        nn.init.normal_(self.embedding.weight)
        for linear in (self.to_vector, self.head):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    # From a text to its vector

    def encode(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """The vector of each text.

        Args:
            tokens: int64 `[T, B]`, one text a column; what comes after a text's end is not looked at.
            lengths: int64 `[B]`, tokens of each text, 1 to T; the vector of a text of none means nothing.

        Returns:
            `[B, Z]`.
        """
        last = (lengths - 1).clamp(min=0)
        read = [self._last_output(self.encoder, tokens, last)]
        if self.from_the_end is not None:
            steps = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
            backwards = tokens.gather(0, (last - steps).clamp(min=0))
            read.append(self._last_output(self.from_the_end, backwards, last))
        y = torch.cat(read, dim=-1)
        vector: Tensor = self.to_vector(y, self._drop_mask(y.shape))
        return vector

    def _last_output(self, stack: RecurrentStack, tokens: Tensor, last: Tensor) -> Tensor:
        """What the top layer gives at step `last[B]` of each column, `[B, H]`: no later step can change it."""
        y, _ = stack(self._embedded(tokens), stack.initial_state(tokens.shape[1]), self._masks(stack, tokens))
        at = last.view(1, -1, 1).expand(1, -1, y.shape[2])
        top: Tensor = y.gather(0, at.to(y.device))[0]
        return top

    # From a vector to a text

    def initial_state(self, batch_size: int) -> DecoderState:
        """The state before any token, of texts whose vector is zero."""
        return self.decoding(self.to_vector.weight.new_zeros(batch_size, self.vector_size))

    def decoding(self, vector: Tensor) -> DecoderState:
        """The state before any token, of the texts that `vector[B, Z]` stands for."""
        return vector, self.decoder.initial_state(len(vector))

    def forward(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Run the decoder over `tokens[T, B]`; a text's first token has `nothing` before it.

        In training mode `word_dropout` of `tokens` are replaced by `nothing`.
        """
        vector, layers = state
        x = torch.cat([self._embedded(self._hidden(tokens)), vector.expand(len(tokens), -1, -1)], dim=-1)
        y, layers = self.decoder(x, layers, self._masks(self.decoder, tokens))
        return self.head(y, self._drop_mask(y.shape)), (vector, layers)

    def shifted(self, tokens: Tensor) -> Tensor:
        """What the decoder reads to predict `tokens[T, B]`: each one's predecessor, `nothing` before the first."""
        return torch.cat([torch.full_like(tokens[:1], self.nothing), tokens[:-1]])

    @torch.no_grad()
    def decode(self, vector: Tensor, steps: int) -> Tensor:
        """The most likely token, step after step, each read by the next (greedy decoding): int64 `[steps, B]`."""
        state = self.decoding(vector)
        token = torch.full((1, len(vector)), self.nothing, device=vector.device)
        found: list[Tensor] = []
        for _ in range(steps):
            logits, state = self(token, state)
            token = logits.argmax(dim=-1)
            found.append(token)
        return torch.cat(found)

    def _hidden(self, tokens: Tensor) -> Tensor:
        p = self.options.word_dropout
        if not self.training or not p:
            return tokens
        if p == 1:
            return torch.full_like(tokens, self.nothing)
        kept = self.masks.draw(p, tuple(tokens.shape), self.embedding.weight)
        return tokens.masked_fill(kept == 0, self.nothing)

    # Parts of both

    def _stacks(self) -> Iterator[RecurrentStack]:
        yield self.encoder
        if self.from_the_end is not None:
            yield self.from_the_end
        yield self.decoder

    def _embedded(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens, self._drop_mask((*tokens.shape, self.options.embedding_size)))
        return x

    def _masks(self, stack: RecurrentStack, tokens: Tensor) -> Masks:
        drawn = [self._drop_mask((*tokens.shape, width)) for width in stack.spec.hidden_sizes[:-1]]
        return Masks(tuple(mask for mask in drawn if mask is not None))

    def _drop_mask(self, shape: tuple[int, ...]) -> Tensor | None:
        return self._mask(self.options.dropout, tuple(shape), self.embedding.weight)

    def use_forward(
        self, forward: str | Mapping[str, Any], device: torch.device, workload: Workload
    ) -> SelectedStrategy:
        """Choose a strategy for the decoder, and run the encoder with it, too."""
        dropout = workload.training and self.options.dropout > 0
        stacks = {stack: replace(stack.spec, layer_dropout=dropout) for stack in self._stacks()}
        chosen = choose(forward, stacks[self.decoder], device, workload)
        name = forward if isinstance(forward, str) else forward["name"]
        same = chosen.strategy.name if name == AUTO else forward
        # a strategy may have threads of its own: each stack has one to itself
        strategies = [
            chosen.strategy if stack is self.decoder else choose(same, spec, device, workload).strategy
            for stack, spec in stacks.items()
        ]
        for (stack, spec), strategy in zip(stacks.items(), strategies, strict=True):
            stack.spec = spec
            stack.use(strategy)
        return chosen

    def close(self) -> None:
        for stack in self._stacks():
            stack.strategy.close()

    def compile_parts(self, mode: str) -> int:
        """Compile the submodules, and what the forward strategy can compile; how many parts that were."""
        return super().compile_parts(mode) + sum(stack.compile_strategy(mode) for stack in self._stacks())

    def activation_floats(self, tokens: int) -> int:
        """Embeddings, each layer's steps, logits and their gradient."""
        stacks = list(self._stacks())
        inputs = sum(stack.spec.input_size for stack in stacks)
        layers = LSTM.kept * sum(sum(stack.spec.hidden_sizes) for stack in stacks)
        return tokens * (2 * inputs + layers + 3 * self.vocabulary_size)


MODEL = Autoencoder
