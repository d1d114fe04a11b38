"""Speed of writing one text, a token at a time: the application against bare PyTorch loops, interleaved.

    python benchmarks/generation.py [--device cpu] [--rounds 9] [--tokens 500] [--out FILE.json]

(a) torch.nn.LSTM alone, one step a call, its state carried: no embedding, no projection, nothing drawn;
(b) embedding, torch.nn.LSTM, projection, softmax and torch.multinomial: a plain sampling loop;
(c) `lstm_lm.generation.text.stream_text`, from prompt to decoded text.

All with the same sizes (2 layers of 256, embedding 128, 65 characters) and the same weights, in float32, on one CPU
thread. Each round times all three, in an order that turns, so that whatever else the machine does meets all alike.

The allocator keeps freed memory. With glibc's default, (a) and (b), whose weights are packed anew at every step, run at
a third of this speed in some processes and not in others: that would flatter (c).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from figures import record, save, spread
from torch import nn

from lstm_lm.generation.text import stream_text
from lstm_lm.models.backbones.lstm import LSTMLanguageModel
from lstm_lm.models.build import build_model
from lstm_lm.synchronize import synchronize
from lstm_lm.tokenizers.char import CharTokenizer
from lstm_lm.training.runtime.settings import keep_freed_memory

EMBEDDING, HIDDEN, LAYERS = 128, 256, 2
ALPHABET = "".join(sorted({*map(chr, range(32, 96)), "\n"}))
MODEL = {
    "name": "lstm",
    "embedding_size": EMBEDDING,
    "hidden_size": HIDDEN,
    "num_layers": LAYERS,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
    "embedding_word_dropout": 0.0,
    "layer_dropout": 0.0,
    "output_dropout": 0.0,
    "locked_dropout": False,
    "weight_drop": 0.0,
    "recurrent_dropout": 0.0,
    "zoneout_hidden": 0.0,
    "zoneout_cell": 0.0,
    "activation": "tanh",
    "gate_activation": "sigmoid",
    "layer_norm": False,
    "tie_weights": False,
    "forget_bias": 1.0,
    "init": "orthogonal",
}
LOOPS = ("bare nn.LSTM step", "plain sampling loop", "lstm_lm stream_text")


def loops(device: torch.device) -> list[Callable[[int], None]]:
    """The three contenders; each runs for a number of tokens."""
    tokenizer = CharTokenizer(ALPHABET)
    torch.manual_seed(1)
    built = build_model(MODEL, tokenizer.vocabulary_size)
    assert isinstance(built, LSTMLanguageModel)
    model = built.to(device).eval()
    lstm = nn.LSTM(EMBEDDING, HIDDEN, LAYERS)
    lstm.load_state_dict(model.stack.state_dict())
    lstm = lstm.to(device).eval()

    def bare(tokens: int) -> None:
        with torch.inference_mode():
            x = torch.randn(1, 1, EMBEDDING, device=device)
            state = None
            for _ in range(tokens):
                _, state = lstm(x, state)

    def plain(tokens: int) -> None:
        with torch.inference_mode():
            token = torch.zeros(1, 1, dtype=torch.int64, device=device)
            state = None
            for _ in range(tokens):
                y, state = lstm(model.embedding(token), state)
                token = torch.multinomial(model.head(y[-1]).softmax(-1), 1)
                token.item()

    def application(tokens: int) -> None:
        text = "".join(stream_text(model, tokenizer, "TO BE", max_new_tokens=tokens, seed=1))
        assert len(text) == tokens

    return [bare, plain, application]


def measure(device: torch.device, rounds: int, tokens: int) -> list[list[float]]:
    """Tokens per second: for each contender, one figure a round."""
    contenders = loops(device)
    for contender in contenders:
        contender(max(20, tokens // 10))
    speeds: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds):
        for turn in range(len(contenders)):
            index = (number + turn) % len(contenders)
            synchronize(device)
            start = time.perf_counter()
            contenders[index](tokens)
            synchronize(device)
            speeds[index].append(tokens / (time.perf_counter() - start))
    return speeds


def report(device: torch.device, speeds: list[list[float]], tokens: int) -> dict[str, Any]:
    """Medians, their spread, and the ratios of each round."""
    bare, plain, application = speeds
    settings = {
        "embedding_size": EMBEDDING,
        "hidden_size": HIDDEN,
        "num_layers": LAYERS,
        "vocabulary_size": len(ALPHABET),
        "threads": torch.get_num_threads(),
        "precision": "32-true",
        "allocator": "keeps freed memory",
        "rounds": len(bare),
        "tokens_per_round": tokens,
    }
    results = {
        "tokens_per_second": {name: spread(values, 1) for name, values in zip(LOOPS, speeds, strict=True)},
        "ratios": {
            "application / bare": spread([c / a for c, a in zip(application, bare, strict=True)]),
            "application / plain": spread([c / b for c, b in zip(application, plain, strict=True)]),
        },
    }
    return record("generation", device, settings, results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=9, help="7 or more for figures to quote")
    parser.add_argument("--tokens", type=int, default=500, help="written by each contender in each round")
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    keep_freed_memory()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    figures = report(device, measure(device, arguments.rounds, arguments.tokens), arguments.tokens)
    print(f"{'tokens per second':<22}{'median':>10}{'lowest':>10}{'highest':>10}")
    for name, row in figures["tokens_per_second"].items():
        print(f"{name:<22}{row['median']:>10,.0f}{row['lowest']:>10,.0f}{row['highest']:>10,.0f}")
    for name, ratio in figures["ratios"].items():
        print(f"{name:<22}{ratio['median']:>10.2f}{ratio['lowest']:>10.2f}{ratio['highest']:>10.2f}")
    save(figures, arguments.out)


if __name__ == "__main__":
    main()
