"""Layer normalisation, next to its equations."""

import torch

from lstm_lm.cells.layer_norm import layer_norm


def test_it_computes_the_published_equations() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 7, dtype=torch.float64)
    gain, bias = torch.randn(2, 7, dtype=torch.float64)
    mean = x.sum(-1, keepdim=True) / 7
    variance = (x - mean).square().sum(-1, keepdim=True) / 7
    expected = gain * (x - mean) / (variance + 1e-5).sqrt() + bias
    torch.testing.assert_close(layer_norm(x, gain, bias), expected, rtol=1e-12, atol=1e-12)


def test_it_is_torchs_own() -> None:
    torch.manual_seed(1)
    module = torch.nn.LayerNorm(7)
    torch.nn.init.normal_(module.weight)
    x = torch.randn(3, 7)
    torch.testing.assert_close(layer_norm(x, module.weight, module.bias), module(x))


def test_a_batch_of_layers_has_a_gain_and_a_bias_each() -> None:
    torch.manual_seed(2)
    x = torch.randn(2, 3, 7)
    gain, bias = torch.randn(2, 2, 1, 7)
    together = layer_norm(x, gain, bias)
    for layer in range(2):
        torch.testing.assert_close(together[layer], layer_norm(x[layer], gain[layer, 0], bias[layer, 0]))
