"""`model=transformer`: a decoder whose layers see the last context_size tokens, however a text is cut into calls."""

import math
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lstm_lm.models.direct import DirectLanguageModel
from lstm_lm.models.masked_layers import MaskedEmbedding, MaskedLinear
from lstm_lm.models.rotary import Rotary
from lstm_lm.models.transformer_block import EPSILON, TransformerBlock
from lstm_lm.options import Options, Probability, Width

TransformerState = tuple[Tensor, tuple[Tensor, ...]]
"""int64 `[]`, how many tokens have been read; and of every layer `[3, B, heads, C - 1, d]`, the keys and values of the
last ones and what they were made from, the newest at the end."""


class TransformerOptions(Options):
    """The `model` section of `model=transformer`."""

    name: str
    embedding_size: Width
    hidden_size: Width
    num_layers: Annotated[int, Field(ge=1, le=1024)]
    num_heads: Annotated[int, Field(ge=1, le=1024)]
    context_size: Annotated[int, Field(ge=1, le=65536)]
    activation: Literal["swiglu", "gelu"]
    rotary_base: Annotated[float, Field(gt=1, le=1e9)]
    dropout: Probability
    embedding_dropout: Probability
    layer_dropout: Probability
    output_dropout: Probability
    tie_weights: bool
    init_std: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        size, heads = self.embedding_size, self.num_heads
        if size % heads:
            raise ValueError(f"embedding_size={size} must be a multiple of num_heads={heads}")
        if size // heads % 2:
            raise ValueError(
                f"embedding_size={size} with num_heads={heads} makes heads of {size // heads}: "
                "rotary positions need an even number"
            )
        return self


class TransformerLanguageModel(DirectLanguageModel):
    """A Transformer language model; the state is a cache of keys and values."""

    OptionsType = TransformerOptions
    compilable = ("embedding", "head")

    def __init__(self, options: TransformerOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self.options = options
        size = options.embedding_size
        self.embedding = MaskedEmbedding(vocabulary_size, size)
        self.rotary = Rotary(size // options.num_heads, options.rotary_base)
        self.blocks = nn.ModuleList(
            TransformerBlock(size, options.hidden_size, options.num_heads, gated=options.activation == "swiglu")
            for _ in range(options.num_layers)
        )
        self.head = NormedHead(size, vocabulary_size)
        if options.tie_weights:
            self.head.weight = self.embedding.weight
        self._own_caches = False

    @property
    def context_limit(self) -> int:
        """A layer reads C - 1 tokens further back than what it writes, and so does each below it."""
        return self.options.num_layers * (self.options.context_size - 1) + 1

    def reset_parameters(self) -> None:
        """GPT-2's (Radford et al., 2019): what L layers add to x is smaller by the root of the 2 L summands."""
        std = self.options.init_std
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:  # a norm's gain
                nn.init.ones_(parameter)
            else:
                adds = name.endswith(("attention_out.weight", "feed_forward_out.weight"))
                nn.init.normal_(parameter, std=std / math.sqrt(2 * self.options.num_layers) if adds else std)

    def initial_state(self, batch_size: int) -> TransformerState:
        """Nothing read, empty caches: all zeros."""
        options, weight = self.options, self.embedding.weight
        head_size = options.embedding_size // options.num_heads
        shape = (3, batch_size, options.num_heads, options.context_size - 1, head_size)
        return (
            torch.zeros((), dtype=torch.int64, device=weight.device),
            tuple(weight.new_zeros(shape) for _ in self.blocks),
        )

    def forward(self, tokens: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        options, like = self.options, self.embedding.weight
        read, caches = state
        steps = len(tokens)
        dtype = _product_type(like)
        shape = (*tokens.shape, options.embedding_size)
        embedding_mask = self._mask(options.embedding_dropout, shape, like)
        masks = [[self._mask(options.layer_dropout, shape, like) for _ in range(2)] for _ in self.blocks]
        output_mask = self._mask(options.output_dropout, shape, like)

        slots = options.context_size - 1
        positions = read + torch.arange(-slots, steps, device=read.device)
        rotation = self.rotary(positions, torch.promote_types(dtype, torch.float32))
        visible = self._visible(read, steps, dtype)
        x = self.embedding(tokens, embedding_mask)
        after: list[Tensor] = []
        for block, cache, drawn in zip(self.blocks, caches, masks, strict=True):
            x, new = block(x, cache.to(dtype), rotation, visible, *drawn)
            after.append(new.clone() if self._own_caches else new)
        return self.head(x, output_mask), (read + steps, tuple(after))

    def compile_parts(self, mode: str) -> int:
        """Compile every layer as a part; all layers share one graph."""
        for block in self.blocks:
            block.compile(mode=mode, fullgraph=True, dynamic=True)
        # CUDA graphs write a step's results where the last step's were; the state must outlive its step
        self._own_caches = mode != "default"
        return super().compile_parts(mode) + len(self.blocks)

    def activation_floats(self, tokens: int) -> int:
        """Embedding, each layer's attention and feed-forward part with their masks, logits and their gradient."""
        options = self.options
        gated = options.activation == "swiglu"
        attention = 16 + 2 * bool(options.layer_dropout)
        feed_forward = 3 + 2 * bool(options.layer_dropout)
        layer = (attention + feed_forward) * options.embedding_size + (4 if gated else 2) * options.hidden_size
        return tokens * (3 * options.embedding_size + options.num_layers * layer + 3 * self.vocabulary_size)

    def _visible(self, read: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
        """`[T, C - 1 + T]`: 0 where step t may see a slot or step, else minus infinity."""
        slots = self.options.context_size - 1
        keys = torch.arange(slots + steps, device=read.device)
        back = slots + torch.arange(steps, device=read.device).unsqueeze(1) - keys  # how far back it lies
        hidden = (back < 0) | (back > slots) | (keys < slots - read)
        return torch.zeros(hidden.shape, dtype=dtype, device=read.device).masked_fill_(hidden, -math.inf)


class NormedHead(MaskedLinear):
    """The last norm, dropout, and the output projection, in one graph for torch.compile."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.norm = nn.RMSNorm(in_features, eps=EPSILON)

    def forward(self, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """`y[T, B, E]`, `mask[T, B, E]` -> `[T, B, V]`."""
        return super().forward(self.norm(y), mask)


def _product_type(weight: Tensor) -> torch.dtype:
    """What a linear layer gives here: autocast's type, or that of the weights."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


MODEL = TransformerLanguageModel
