"""Weight drop: some of the recurrent weights are zero for a window. It runs on the vendor's kernel.

Source: Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language Models", 2017, section 2: DropConnect
(Wan et al., 2013) on the hidden-to-hidden weights of all gates,

    W_h = mask * W_h,  mask 0 with probability p, else 1 / (1 - p)

one mask for a whole forward and backward pass.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from torch import Tensor

from lstm_lm.forward.cudnn_layout import laid_out_like
from lstm_lm.forward.interface import LayerWeights, Stack, StackSpec


class WeightDrop(Stack):
    """A stack for one window, whose recurrent weights are those of `stored` times a mask."""

    vendor_layout: str | None = None

    def __init__(self, stored: Stack, masks: Sequence[Tensor]) -> None:
        """`masks[l]` is `[G * H_l, H_l]`."""
        self._stored = stored
        self._masks = masks
        self._weights: list[LayerWeights] = []

    @property
    def stored(self) -> Stack:
        """The stack with all weights."""
        return self._stored

    @property
    def spec(self) -> StackSpec:
        return self._stored.spec

    def layers(self) -> Iterator[LayerWeights]:
        if not self._weights:
            full = list(self._stored.layers())
            dropped = [
                weights._replace(weight_hh=weights.weight_hh * mask.to(weights.weight_hh.device))
                for weights, mask in zip(full, self._masks, strict=True)
            ]
            if self._stored.vendor_layout is not None and full[0].weight_hh.is_cuda:
                copies = iter(laid_out_like(list(chain(*dropped)), list(chain(*full))))
                dropped = [LayerWeights(*islice(copies, len(layer))) for layer in dropped]
            self._weights = dropped
        yield from self._weights

    def extras(self) -> Iterator[tuple[Tensor, ...]]:
        return self._stored.extras()

    def flat_weights(self) -> list[Tensor]:
        return [tensor for weights in self.layers() for tensor in weights]
