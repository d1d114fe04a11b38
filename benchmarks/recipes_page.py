"""`docs/recipes.md`, made from the summaries in `benchmarks/results/recipes/`, so that page and figures cannot differ.

python benchmarks/recipes_page.py
"""

import json
import statistics
from pathlib import Path
from typing import Any

from page_parts import table

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "recipes"
KEPT_AVX2 = KEPT.with_name("recipes-avx2")
"""The same, restricted to AVX2 (`docs/benchmarks.md` says how): no products of 16 bits, as on most laptops."""
PAGE = ROOT / "docs" / "recipes.md"

INTRODUCTION = """# Recipes

A recipe is one YAML file, taken with `experiment=NAME`: [conf/experiment/](../conf/experiment). Each row below is a
run of the command that stands above it, with its own seed, in a fresh process, by `python benchmarks/recipes.py NAME`,
which keeps the run's `summary.json` in `benchmarks/results/recipes/`. `seconds` are those of the whole process, from
its start to its last line, on so many threads of the processor as it is, or restricted to AVX2, without products of 16
bits, like most laptops' ([how](benchmarks.md)); losses are nats per token of the validation split, of the best
checkpoint. Losses and perplexities of different tokenizers do not compare; bits per byte do. What was tried, failures
included: [decision 22](decisions/0022-recipes.md).

Scored is every token once, with the state carried through the whole split; the best checkpoint is chosen on that same
split, as it is in the figures that are cited. `dynamic` is the loss, on that split too, with `python -m lstm_lm
evaluate method=dynamic`, and what that took: the model goes on learning, so it compares with no other column.

Tiny Shakespeare is downloaded once; without a network, `data.path=FILE` names a copy of karpathy/char-rnn's
`input.txt`.
"""

RECIPES = {
    "shakespeare_quick": "Characters, under a minute: what a first try should take.",
    "shakespeare_tiny": "Characters, at most 400,000 parameters, at most a minute with bfloat16.",
    "shakespeare_best": "Characters, at most 8 M parameters, at most an hour on two CPU cores. nanoGPT's "
    "published figure for this split is 1.4697, with 10.65 M parameters and a GPU.",
    "shakespeare_bpe": "Byte pairs, in the setting of a public comparison (2 layers of 256, windows of 100, "
    "64 streams), but for the optimizer; it states perplexities of 45.7 for its LSTM and 28.4 "
    "for its Transformer, but not the tokenizer, so they compare with nothing.",
    "shakespeare_word": "Words, in the same setting. No bits per byte: unknown words are lost.",
    "lines": "Lines as samples: the public names of the standard library, by characters; new ones with "
    "`python generate.py num_samples=20 only_new=true`. One thread of a machine that did other work meanwhile: the "
    "losses hold, the seconds are too many.",
    "autoencoder": "Each line of a text as one vector, and the line again: exact_match counts lines that come back "
    "whole, exact_match_tokens tokens, and forced_match_tokens those of a decoder that is told the line as far as it "
    "has come (teacher forcing).",
    "awd_wikitext2": "AWD-LSTM's setting on WikiText-2, for a GPU and a copy of the text: `python train.py "
    "experiment=awd_wikitext2 data.path=FOLDER device=gpu`. Its authors report "
    "perplexities of 68.6 and 65.8 (validation, test). Here it has taken 50 steps at its full widths, "
    "on tiny Shakespeare in WikiText's form (`python benchmarks/wikitext_form.py`), before "
    "`model.embedding_word_dropout=0.1` was part of it: that it runs, and no more, is what the row says.",
}

COLUMNS = [
    *("seed", "processor", "parameters", "steps", "val loss", "perplexity", "bits per byte", "threads", "seconds"),
    "dynamic",
]


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_recipe(name, words) for name, words in RECIPES.items())])


def _recipe(name: str, words: str) -> str:
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT.glob(f"{name}-*.json"))]
    head = f"## {name}\n\n{words}\n\n"
    if not runs:
        return head + "No figures yet.\n"
    first = runs[0]
    machine, versions = first["machine"], first["versions"]
    source = (
        f"`{first['summary']['command']}`; {machine['cpu']}, {machine['cores']} cores; Python {versions['python']}, "
        f"torch {versions['torch']}; {first['date']}, commit {(first['git_commit'] or 'unknown')[:8]}."
    )
    narrow = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT_AVX2.glob(f"{name}-*.json"))]
    rows = [_row(run, "as it is") for run in runs] + [_row(run, "AVX2") for run in narrow]
    return f"{head}{source}\n\n{table(COLUMNS, rows)}{_spread(runs)}{_shares(runs)}"


def _shares(runs: list[dict[str, Any]]) -> str:
    """What else a validation has counted: medians over the seeds."""
    counted = [run["summary"]["val"]["shares"] or {} for run in runs]
    shares = {name: statistics.median(shares[name] for shares in counted) for name in counted[0]}
    if not shares:
        return ""
    return f"\nShares: {', '.join(f'{name} {share:.1%}' for name, share in shares.items())}.\n"


def _row(run: dict[str, Any], processor: str) -> list[str]:
    summary = run["summary"]
    val = summary["val"]
    return [
        str(summary["seed"]),
        processor,
        f"{summary['model']['parameters']:,}",
        f"{summary['train']['steps']:,}",
        f"{val['loss']:.4f}",
        f"{val['perplexity']:.2f}",
        "-" if val["bits_per_byte"] is None else f"{val['bits_per_byte']:.4f}",
        str(summary["runtime"]["settings"]["threads"]),
        f"{run['whole_process_seconds']:,.0f}",
        _dynamic(run),
    ]


def _dynamic(run: dict[str, Any]) -> str:
    """The loss with dynamic evaluation, and what that took."""
    if "dynamic" not in run:
        return "-"
    loss = run["dynamic"]["loss"]
    return f"{loss:.4f} ({run['dynamic_seconds']:,.0f} s)"


def _spread(runs: list[dict[str, Any]]) -> str:
    if len(runs) < 2:
        return ""
    losses = [run["summary"]["val"]["loss"] for run in runs]
    low, high, middle = min(losses), max(losses), statistics.median(losses)
    return f"\nOver {len(runs)} seeds: {middle:.4f} ({low:.4f}-{high:.4f}).\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
