"""The sizes of a model whose layers may each have their own width, and what must fit among them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lstm_lm.options import Options, Width


class LayerWidths(Options):
    """Of an embedding and L layers."""

    embedding_size: Width
    hidden_size: Width | Annotated[list[Width], Field(min_length=1)]
    num_layers: Annotated[int, Field(ge=1, le=1024)]

    @property
    def hidden_sizes(self) -> list[int]:
        """H_l of every layer, from the input upwards."""
        return [self.hidden_size] * self.num_layers if isinstance(self.hidden_size, int) else self.hidden_size

    @model_validator(mode="after")
    def _one_width_a_layer(self) -> Self:
        if len(self.hidden_sizes) != self.num_layers:
            raise ValueError(
                f"hidden_size={self.hidden_size} has {len(self.hidden_sizes)} widths for num_layers={self.num_layers}: "
                "give one width, or one a layer"
            )
        return self


class TiedWidths(LayerWidths):
    """Where the output projection may have the embedding's weights."""

    tie_weights: bool

    @model_validator(mode="after")
    def _tied(self) -> Self:
        if self.tie_weights and self.hidden_sizes[-1] != self.embedding_size:
            raise ValueError(
                f"tie_weights=true needs embedding_size={self.embedding_size} to equal "
                f"the last layer's hidden_size={self.hidden_sizes[-1]}"
            )
        return self
