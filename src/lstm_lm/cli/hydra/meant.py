"""What people type who come from elsewhere, in this project's keys: `--epochs 10`, `lr=0.1`, `novel.txt`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lstm_lm.cli.hydra.conf import groups_of, keys_of, options_of
from lstm_lm.printable import shown
from lstm_lm.shell_words import shell_word

_TRAIN = {
    "optimizer.lr": ("lr", "learning_rate", "max_lr", "step_size"),
    "optimizer.weight_decay": ("wd", "wdecay", "weight_decay"),
    "trainer.max_epochs": ("epochs", "epoch", "num_epochs", "n_epochs", "max_epochs"),
    "trainer.max_steps": ("steps", "max_steps", "max_iters", "iters", "num_steps", "iterations"),
    "trainer.gradient_clip_val": ("clip", "grad_clip", "clip_grad", "max_grad_norm"),
    "model.hidden_size": ("hidden", "hidden_size", "hidden_dim", "nhid", "rnn_size", "n_embd", "units", "width"),
    "model.num_layers": ("layers", "num_layers", "n_layers", "nlayers", "n_layer", "depth"),
    "model.embedding_size": ("embedding", "embedding_size", "embedding_dim", "emb_size", "emsize", "embed_dim"),
    "model.dropout": ("dropout", "drop"),
    "data.batch_size": ("batch", "batch_size", "bs"),
    "data.seq_len": ("bptt", "seq_len", "seq_length", "sequence_length", "block_size", "window", "context_length"),
    "data=text data.path": ("file", "text", "input", "input_file", "path", "data_path", "dataset", "train_file"),
    "hydra.run.dir": ("out", "out_dir", "output", "output_dir", "save", "save_dir", "checkpoint_dir", "run_dir"),
    "trainer.accelerator": ("accelerator",),
    "trainer.devices": ("devices", "gpus", "num_gpus"),
    "study.repetitions": ("repetitions", "repeats"),
}
_GENERATE = {
    "temperature": ("temp", "t"),
    "max_new_tokens": ("length", "len", "max_length", "max_tokens", "num_tokens", "n_tokens", "tokens", "num_words"),
    "num_samples": ("n", "num", "samples", "num_return_sequences"),
    "top_k": ("topk", "k"),
    "top_p": ("topp", "p", "nucleus"),
    "prompt": ("start", "primer", "prime", "prefix", "text", "seed_text"),
    "run": ("model", "out_dir", "run_dir", "dir"),
    "ckpt_path": ("checkpoint", "ckpt", "model_path"),
}
_PATHS = ("file", "text", "input", "input_file", "path")
_MODEL = {key: _GENERATE[key] for key in ("run", "ckpt_path")}
_FOREIGN: Mapping[str, Mapping[str, Sequence[str]]] = {
    "train": _TRAIN,
    "generate": _GENERATE,
    "evaluate": {"data=text data.path": _PATHS, **_MODEL},
    "score": {"data.path": _PATHS, **_MODEL},
    "embed": {"data.path": _PATHS, **_MODEL},
    "export": {"out": ("output", "output_dir", "output_file", "file"), **_MODEL},
    "serve": {"host": ("bind", "address", "ip"), "max_tokens": ("max_new_tokens", "max_length"), **_MODEL},
    "runs": {"runs_dir": ("dir", "path", "logdir"), "limit": ("n", "top", "num")},
}
"""By command: a key of it, and other people's names for it."""
_TEXT = {"train": "data=text data.path", "evaluate": "data=text data.path", "score": "data.path", "embed": "data.path"}
"""Where a file's name goes."""


def key_meant(name: str, config_name: str) -> str | None:
    """Our key for another program's `name`, dashes or underscores; None: no such name is known."""
    name = name.lstrip("-").replace("-", "_").lower()
    return next((key for key, names in _FOREIGN[config_name].items() if name in names), None)


def word_meant(word: str, config_name: str) -> str | None:
    """What a bare word should have been: an option's name, a run's folder, a text, a prompt; None: no idea."""
    if groups := [group for group in groups_of(config_name) if word in options_of(group)]:
        return f"{groups[0]}={word}"
    # not Path.exists: a prompt may be longer than a name can be
    if config_name not in ("train", "runs") and os.path.isdir(os.path.join(word, "checkpoints")):
        return f"run={shell_word(shown(word))}"
    if config_name in _TEXT and (looks_like_a_path(word) or os.path.exists(word)):
        return f"{_TEXT[config_name]}={shell_word(shown(word))}"
    return f"prompt={shell_word(shown(word))}" if config_name == "generate" else None


def flag_meant(argv: Sequence[str], config_name: str) -> str | None:
    """The first flag of `argv` that is a key of ours, or another program's, and what to type; None: there is none."""
    for number, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if not flag.startswith("--") or (key := _key_of_flag(flag.removeprefix("--"), config_name)) is None:
            continue
        following = argv[number + 1 : number + 2]
        if not equals and following and not following[0].startswith("-") and "=" not in following[0]:
            value = following[0]
        return f"{shown(flag)}: no such flag\ndid you mean: {key}={shell_word(shown(value)) if value else 'VALUE'}"
    return None


def _key_of_flag(name: str, config_name: str) -> str | None:
    own = name.replace("-", "_")
    return own if "." in own or own in keys_of(config_name) else key_meant(name, config_name)


def looks_like_a_path(option: str) -> bool:
    """Whether no option of a group is called so."""
    return "/" in option or "\\" in option or bool(Path(option).suffix[1:].isalpha())
