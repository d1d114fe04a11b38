"""Drawing the next token from the logits, with random numbers of its own.

A draw is the largest of `logits + Gumbel noise` (Gumbel, 1954; the "Gumbel-max trick"): the same distribution as
drawing from their softmax, in two small operations, without the softmax. The noise of many draws is made at once, so
a token costs no call of a random generator.
"""

import torch
from torch import Tensor

from lstm_lm.errors import RunError
from lstm_lm.generation import filters
from lstm_lm.generation.filters import Sampling

_MOST_DRAWS = 64
_NOISE_FLOATS = 2**16
_LEAST = 1e-30  # an exponential draw of exactly 0 would make its token win whatever its logit


class TokenChooser:
    """Chooses tokens for N texts side by side. The same seed and N give the same choices, on one machine."""

    def __init__(self, sampling: Sampling, shape: tuple[int, int], device: torch.device, seed: int | None) -> None:
        """`shape` is (N, V); `seed` is 0 to 2^63 - 1, or None for one that the operating system draws."""
        self._sampling = sampling
        self._filters = sampling.filters(shape[1])
        # Scaling the smaller of the two, noise or logits, cannot overflow.
        temperature = min(max(sampling.temperature, filters.LOWEST_TEMPERATURE), filters.HIGHEST_TEMPERATURE)
        self._noise_scale = 1.0 if self._filters else min(temperature, 1.0)
        self._logits_scale = 1.0 if self._filters or temperature <= 1.0 else 1.0 / temperature
        # Of fixed size, whatever is asked for later: a longer text begins like a shorter one with the same seed.
        self._draws = max(1, min(_MOST_DRAWS, _NOISE_FLOATS // (shape[0] * shape[1])))
        self._shape = shape
        self._device = device
        self._ready: list[Tensor | None] = []
        self._generator = torch.Generator(device)
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def __call__(self, logits: Tensor) -> Tensor:
        """The next tokens, int64 `[N]`, from floats `[N, V]`. Greedy: of equal logits, the first.

        Raises:
            RunError: the logits are not numbers (checked at the first token and every so often).
        """
        noise = self.noise(logits)
        if noise is None:
            return logits.argmax(-1)
        if self._filters:
            logits = filters.apply(logits.float(), self._sampling)
        elif self._logits_scale != 1.0:
            logits = logits * self._logits_scale
        return torch.add(logits, noise).argmax(-1)

    @property
    def only_adds(self) -> bool:
        """Whether the next tokens are just the largest of logits + noise, which can be found for many texts at once."""
        return not self._filters and self._logits_scale == 1.0

    def noise(self, logits: Tensor) -> Tensor | None:
        """What the next draw adds, `[N, V]`; None: nothing, it is greedy.

        Raises:
            RunError: as above.
        """
        if not self._ready:
            self._make_ready(logits)
        return self._ready.pop()

    def _make_ready(self, logits: Tensor) -> None:
        if not bool(logits.amax(-1).isfinite().all()):
            raise RunError(
                "the model's predictions are not numbers (NaN or infinity): its weights have diverged\n"
                "use an earlier checkpoint, or train again with a smaller optimizer.lr"
            )
        if self._sampling.greedy:
            self._ready = [None] * _MOST_DRAWS
            return
        noise = torch.empty(self._draws, *self._shape, device=self._device)
        noise.exponential_(generator=self._generator).clamp_min_(_LEAST).log_().mul_(-self._noise_scale)
        self._ready = list(noise.unbind(0))
