"""Embedding, a stack of recurrent layers, output projection: one model for every cell."""

from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lstm_lm.cells.interface import Cell
from lstm_lm.forward.choose import Choice, choose
from lstm_lm.forward.interface import Masks, StackState
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.options import Options

Width = Annotated[int, Field(ge=1, le=65536)]
Probability = Annotated[float, Field(ge=0, lt=1)]


class RecurrentOptions(Options):
    """The `model` section of a recurrent model."""

    name: str
    embedding_size: Width
    hidden_size: Width | Annotated[list[Width], Field(min_length=1)]
    num_layers: Annotated[int, Field(ge=1, le=1024)]
    dropout: Probability
    embedding_dropout: Probability
    layer_dropout: Probability
    output_dropout: Probability
    tie_weights: bool
    forget_bias: Annotated[float, Field(ge=-10, le=10)]
    init: Literal["orthogonal", "uniform"]

    @property
    def hidden_sizes(self) -> list[int]:
        """H_l of every layer."""
        return [self.hidden_size] * self.num_layers if isinstance(self.hidden_size, int) else self.hidden_size

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if isinstance(self.hidden_size, list) and len(self.hidden_size) != self.num_layers:
            raise ValueError(
                f"hidden_size={self.hidden_size} has {len(self.hidden_size)} widths for num_layers={self.num_layers}: "
                "give one width, or one a layer"
            )
        if self.tie_weights and self.hidden_sizes[-1] != self.embedding_size:
            raise ValueError(
                f"tie_weights=true needs embedding_size={self.embedding_size} to equal "
                f"the last layer's hidden_size={self.hidden_sizes[-1]}"
            )
        return self


class RecurrentLanguageModel(LanguageModel):
    """A stacked recurrent language model; the state is the stack's."""

    cell: ClassVar[Cell]
    OptionsType = RecurrentOptions
    compilable = ("embedding", "head")

    def __init__(self, options: RecurrentOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self.options = options
        widths = options.hidden_sizes
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.stack = RecurrentStack(self.cell, options.embedding_size, widths)
        self.head = nn.Linear(widths[-1], vocabulary_size)
        self.reset_parameters()
        if options.tie_weights:
            self.head.weight = self.embedding.weight

    def reset_parameters(self) -> None:
        """Draw the initial parameters from torch's global generator."""
        if self.options.init == "orthogonal":
            self.stack.reset_parameters()
        else:
            self.stack.reset_parameters_uniform()
        self.set_forget_bias(self.options.forget_bias)
        if self.options.tie_weights:  # these rows are also the output's: logits should start near zero
            nn.init.normal_(self.embedding.weight, std=self.options.embedding_size**-0.5)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def set_forget_bias(self, value: float) -> None:
        """Give cells with a forget gate their initial bias; others have none to set."""

    def initial_state(self, batch_size: int) -> StackState:
        """All zeros."""
        return self.stack.initial_state(batch_size)

    def forward(self, tokens: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        """As in `LanguageModel.forward`; dropout where the module is in training mode."""
        x = self._drop(self.embedding(tokens), self.options.embedding_dropout)
        y, state = self.stack(x, state, self._masks_between(x))
        return self.head(self._drop(y, self.options.output_dropout)), state

    def use_forward(self, name: str, device: torch.device, dtype: torch.dtype) -> Choice:
        """As in `LanguageModel.use_forward`."""
        choice = choose(name, self.stack.spec, device, dtype)
        self.stack.strategy = choice.strategy
        return choice

    def activation_floats(self, tokens: int) -> int:
        """Embedding, each layer's gates, states and outputs, logits and their gradient."""
        per_layer = sum(width * (self.cell.gates + self.cell.state_tensors + 1) for width in self.options.hidden_sizes)
        return tokens * (2 * self.options.embedding_size + per_layer + 3 * self.vocabulary_size)

    def _drop(self, x: Tensor, p: float) -> Tensor:
        if not self.training or p == 0.0:
            return x
        return x * self.masks.draw(p, tuple(x.shape), like=x)

    def _masks_between(self, x: Tensor) -> Masks:
        p = self.options.layer_dropout
        if not self.training or p == 0.0:
            return Masks()
        steps, batch = x.shape[:2]
        widths = self.options.hidden_sizes[:-1]
        return Masks(tuple(self.masks.draw(p, (steps, batch, width), like=x) for width in widths))
