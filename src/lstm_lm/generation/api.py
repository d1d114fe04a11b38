"""`lstm_lm.generate` and `lstm_lm.stream`: text from a run, in one call, whole or as it is written."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from lstm_lm.generation.begun import begin
from lstm_lm.generation.options import GenerateOptions
from lstm_lm.generation.prompt import read_prompt
from lstm_lm.generation.run_units import unit_writer
from lstm_lm.generation.text import Settings, Stop, sample_texts
from lstm_lm.models.loading import Loaded, load
from lstm_lm.tokenizers.interface import Unknown


def generate(
    run: str | Path | Loaded | None = None,
    prompt: str | None = None,
    *,
    prompt_file: str | None = None,
    max_new_tokens: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
    num_samples: int = 1,
    only_new: bool = False,
    seed: int | None = None,
    stop: Stop = None,
    unknown: Unknown = "error",
    ckpt_path: str | Path | None = None,
    runs_dir: str | Path = "outputs",
    device: str | torch.device = "auto",
    precision: str = "auto",
    forward: str | Mapping[str, Any] = "auto",
) -> str | list[str]:
    """Continue `prompt` with the model of a run; gives the text, prompt included, or a list with `num_samples` > 1.

    What is left out has the value that `conf/generate.yaml` gives it, as on the command line. Several calls with one
    model: `generate(load(run), ...)` reads it only once.

    Args:
        run: a run directory or its name; None: the newest below `runs_dir`; or what `lstm_lm.load` gave, and then the
            arguments of loading (from `ckpt_path` on) are not looked at.
        prompt: the beginning of the text.
        prompt_file: a UTF-8 file that holds the prompt instead, or `-` for standard input.
        max_new_tokens: >= 0, fewer where a stop string comes.
        temperature: >= 0; 1 the model's own distribution, below 1 safer, above 1 wilder, 0 greedy.
        top_k: >= 1, only the k most likely tokens; None: all.
        top_p: above 0, at most 1: only the nucleus of this probability; 1: all.
        min_p: 0 to 1: only tokens with this share of the most likely one's probability; 0: all.
        num_samples: 1 to 65536 texts, written side by side in one batch. A run of `data.unit=line` or `document` gives
            so many of these, without their ends.
        only_new: of such a run: different ones that are not in the training text; a list, in which there may be fewer.
        seed: 0 to 2^63 - 1; the same seed, the same text, on one machine; None: another text each time.
        stop: the text ends before this string, or before the first of these.
        unknown: what becomes of characters of the prompt that the tokenizer does not know: error, skip or replace.
        ckpt_path: a checkpoint file, or `best` or `last` of the run.
        runs_dir: the folder below which runs are looked for.
        device: auto (a GPU where there is one), cpu, gpu, mps, or torch's name of one.
        precision: as `lstm_lm.load` takes it; auto: 32-true.
        forward: the forward strategy, or auto; or a whole `forward` section.

    Raises:
        UserError: a value is out of its range, no such run, no usable checkpoint, unknown text in the prompt, ...
        RunError: the model's weights have diverged.
    """
    options = GenerateOptions.parse(
        {
            "prompt": prompt,
            "prompt_file": prompt_file,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "num_samples": num_samples,
            "only_new": only_new,
            "seed": seed,
            "stop": stop if stop is None or isinstance(stop, str) else list(stop),
            "unknown": unknown,
        },
        "generate",
    )
    text = read_prompt(options.prompt, options.prompt_file)
    if not isinstance(run, Loaded):
        run = load(run, ckpt_path=ckpt_path, runs_dir=runs_dir, device=device, precision=precision, forward=forward)
    settings, count = settings_of(options, run.autocast), options.max_new_tokens
    writer = unit_writer(run, options, settings)
    if options.only_new and writer is not None:
        return writer.write_new(text, max_new_tokens=count).texts
    if writer is not None:
        texts = [unit.text for unit in writer.write(text, max_new_tokens=count)]
    else:
        written = sample_texts(
            run.model, run.tokenizer, text, num_samples=options.num_samples, max_new_tokens=count, **settings
        )
        texts = [text + new for new in written]
    return texts[0] if options.num_samples == 1 else texts


def stream(
    run: str | Path | Loaded | None = None,
    prompt: str | None = None,
    *,
    prompt_file: str | None = None,
    max_new_tokens: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
    seed: int | None = None,
    stop: Stop = None,
    unknown: Unknown = "error",
    ckpt_path: str | Path | None = None,
    runs_dir: str | Path = "outputs",
    device: str | torch.device = "auto",
    precision: str = "auto",
    forward: str | Mapping[str, Any] = "auto",
) -> Iterator[str]:
    """`generate`, as it is written: pieces of whole characters, none of them empty; the prompt is the first.

    All pieces together are the text that `generate` gives with the same seed. When this returns, the prompt has been
    read. Read the pieces to the end, or leave off anywhere.

    Args: as `generate`.

    Raises:
        UserError: as `generate`.
        RunError: from the iterator: the model's weights have diverged.
    """
    options = GenerateOptions.parse(
        {
            "prompt": prompt,
            "prompt_file": prompt_file,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "num_samples": 1,
            "only_new": False,
            "seed": seed,
            "stop": stop if stop is None or isinstance(stop, str) else list(stop),
            "unknown": unknown,
        },
        "stream",
    )
    text = read_prompt(options.prompt, options.prompt_file)
    if not isinstance(run, Loaded):
        run = load(run, ckpt_path=ckpt_path, runs_dir=runs_dir, device=device, precision=precision, forward=forward)
    begun = begin(run, text, options.num_samples, settings_of(options, run.autocast))
    return begun.pieces(options.max_new_tokens)


def settings_of(options: GenerateOptions, autocast: torch.dtype | None = None) -> Settings:
    """What `stream_text`, `sample_text`, `sample_texts` and `TextSession` take; `autocast` as `Loaded` has it."""
    return Settings(
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        seed=options.seed,
        stop=options.stop,
        unknown=options.unknown,
        autocast=autocast,
    )
