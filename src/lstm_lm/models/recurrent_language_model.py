"""Embedding, a stack of recurrent layers, output projection: one model for every cell.

Dropout (Srivastava et al., 2014) acts on what each layer reads and on what the output projection reads: with new masks
at every step, or with locked_dropout one mask for all steps of a window (Gal and Ghahramani, "A Theoretically Grounded
Application of Dropout in Recurrent Neural Networks", 2016, there called variational). Neither touches the inside of a
step, so both run on the vendor's kernel, as does weight drop.

Dropout of words (the same paper, section 4.2; Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language
Models", 2017, section 4.3, there called embedding dropout) acts on whole rows of the embedding matrix: a token's vector
is zero wherever the token stands in the window, else scaled by 1 / (1 - p). Tied weights are whole in the output.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lstm_lm.cells.interface import Cell, StepMasks
from lstm_lm.forward.choose import SelectedStrategy, choose
from lstm_lm.forward.interface import Masks, StackSpec, StackState, Workload
from lstm_lm.models.interface import LanguageModel, Outputs
from lstm_lm.models.masked_layers import MaskedEmbedding, MaskedLinear
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.models.widths import TiedWidths
from lstm_lm.options import Probability

KEPT_BY_RECURRENT_DROPOUT = 2
"""Numbers that a step keeps for its backward pass, for each of the layer's H: the mask, and what it multiplies."""
KEPT_BY_ZONEOUT = 2
"""The mask, as it was drawn and as a strategy lays it out."""


class Inside(NamedTuple):
    """Probabilities of what acts inside a step, by their keys; 0: it doesn't, or the cell has no place for it."""

    zoneout_hidden: float = 0.0
    zoneout_cell: float = 0.0
    recurrent_dropout: float = 0.0


class RecurrentOptions(TiedWidths):
    """The `model` section of a recurrent model."""

    name: str
    dropout: Probability
    embedding_dropout: Probability
    embedding_word_dropout: Probability
    layer_dropout: Probability
    output_dropout: Probability
    locked_dropout: bool
    weight_drop: Probability
    zoneout_hidden: Probability
    init: Literal["orthogonal", "uniform"]

    @property
    def inside(self) -> Inside:
        """What acts inside a step of this model's cell."""
        return Inside(zoneout_hidden=self.zoneout_hidden)


class RecurrentLanguageModel(LanguageModel):
    """A stacked recurrent language model; the state is the stack's."""

    OptionsType: ClassVar[type[RecurrentOptions]] = RecurrentOptions
    compilable = ("embedding", "head")
    hands_out_hidden = True

    def __init__(self, options: RecurrentOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self.options = options
        widths = options.hidden_sizes
        self.cell = self.cell_of(options)
        self.embedding = MaskedEmbedding(vocabulary_size, options.embedding_size)
        spec = self.spec_for(training=True)
        self.stack = RecurrentStack(
            spec.cell,
            spec.input_size,
            widths,
            layer_dropout=spec.layer_dropout,
            regularised=spec.regularised,
            initialise=False,
        )
        self.head = MaskedLinear(widths[-1], vocabulary_size)
        if options.tie_weights:
            self.head.weight = self.embedding.weight

    @classmethod
    @abstractmethod
    def cell_of(cls, options: RecurrentOptions) -> Cell:
        """The cell that `options` describe."""

    def spec_for(self, *, training: bool) -> StackSpec:
        """What a strategy must be able to run: without training there is no dropout, and zoneout is a fixed share."""
        options = self.options
        inside = options.inside if training else options.inside._replace(recurrent_dropout=0.0)
        return StackSpec(
            self.cell,
            options.embedding_size,
            tuple(options.hidden_sizes),
            layer_dropout=training and options.layer_dropout > 0,
            regularised=tuple(f"{key}={p}" for key, p in inside._asdict().items() if p),
        )

    def reset_parameters(self) -> None:
        if self.options.init == "orthogonal":
            self.stack.reset_parameters()
        else:
            self.stack.reset_parameters_uniform()
        self.reset_gates()
        if self.options.tie_weights:  # these rows are also the output's: logits should start near zero
            nn.init.normal_(self.embedding.weight, std=self.options.embedding_size**-0.5)
        else:
            nn.init.normal_(self.embedding.weight)
            nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def reset_gates(self) -> None:
        """Give a cell's gates initial biases that are not zero; most have none."""

    def initial_state(self, batch_size: int) -> StackState:
        """All zeros."""
        return self.stack.initial_state(batch_size)

    def forward(self, tokens: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        y, state, output_mask = self._run(tokens, state)
        return self.head(y, output_mask), state

    def forward_with_hidden(self, tokens: Tensor, state: StackState) -> Outputs:
        y, state, mask = self._run(tokens, state)
        return Outputs(self.head(y, mask), state, y, y if mask is None else y * mask.to(y.dtype))

    def _run(self, tokens: Tensor, state: StackState) -> tuple[Tensor, StackState, Tensor | None]:
        """All but the output projection: `y[T, B, H]`, the state, and the dropout mask of the projection."""
        options, like = self.options, self.embedding.weight
        steps, batch = tokens.shape
        drawn = 1 if options.locked_dropout else steps
        embedding_mask = self._mask(options.embedding_dropout, (drawn, batch, options.embedding_size), like)
        between = [
            self._mask(options.layer_dropout, (drawn, batch, width), like) for width in options.hidden_sizes[:-1]
        ]
        output_mask = self._mask(options.output_dropout, (drawn, batch, options.hidden_sizes[-1]), like)
        masks = Masks(tuple(mask for mask in between if mask is not None), self._inside(steps, batch, like))
        weights = [
            self._mask(options.weight_drop, (self.cell.gates * width, width), like) for width in options.hidden_sizes
        ]
        rows = self._mask(options.embedding_word_dropout, (self.vocabulary_size, 1), like)
        x = self.embedding(tokens, embedding_mask, rows)
        y, state = self.stack(x, state, masks, [mask for mask in weights if mask is not None])
        return y, state, output_mask

    def use_forward(
        self, forward: str | Mapping[str, Any], device: torch.device, workload: Workload
    ) -> SelectedStrategy:
        spec = self.spec_for(training=workload.training)
        choice = choose(forward, spec, device, workload)
        self.stack.spec = spec
        self.stack.use(choice.strategy)
        return choice

    def close(self) -> None:
        self.stack.strategy.close()

    def compile_parts(self, mode: str) -> int:
        """Compile the submodules, and what the forward strategy can compile; how many parts that were."""
        return super().compile_parts(mode) + self.stack.compile_strategy(mode)

    def activation_floats(self, tokens: int) -> int:
        """Embedding, each layer's steps with their masks, logits and their gradient."""
        options, inside = self.options, self.options.inside
        kept = self.cell.kept + sum(
            many
            for many, p in (
                (KEPT_BY_RECURRENT_DROPOUT, inside.recurrent_dropout),
                (KEPT_BY_ZONEOUT, inside.zoneout_hidden),
                (KEPT_BY_ZONEOUT, inside.zoneout_cell),
            )
            if p
        )
        return tokens * (2 * options.embedding_size + kept * sum(options.hidden_sizes) + 3 * self.vocabulary_size)

    def _inside(self, steps: int, batch: int, like: Tensor) -> tuple[StepMasks, ...]:
        """A mask for every step and layer: of recurrent dropout, and of zoneout; without training its expectation."""
        options, inside = self.options, self.options.inside

        def stay(p: float, width: int) -> Tensor | None:
            if not self.training:
                return like.new_full((1, 1, width), p) if p else None
            zeros = self._mask(p, (steps, batch, width), like)
            return None if zeros is None else (zeros == 0).to(like.dtype)

        masks = tuple(
            StepMasks(
                self._mask(inside.recurrent_dropout, (steps, batch, width), like),
                stay(inside.zoneout_hidden, width),
                stay(inside.zoneout_cell, width),
            )
            for width in options.hidden_sizes
        )
        return masks if any(mask is not None for layer in masks for mask in layer) else ()
