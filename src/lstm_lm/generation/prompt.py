"""The prompt: where it comes from, and its tokens. Not a character of it is changed on the way."""

import sys
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.tokenizers.interface import Tokenizer, Unknown

STANDARD_INPUT = "-"
_NEWLINE = "\n"


def read_prompt(prompt: str | None, prompt_file: str | None, standard_input: BinaryIO | None = None) -> str:
    """The prompt as it was typed, or the whole of a UTF-8 file, line ends and blanks included; "" where there is none.

    Args:
        prompt: the text itself.
        prompt_file: a file, or `-` for standard input.
        standard_input: what `-` reads; None: the process's own.

    Raises:
        UserError: both are given; the file cannot be read or is not UTF-8.
    """
    if prompt_file is None:
        return prompt or ""
    if prompt:
        raise UserError("prompt and prompt_file are both given: give only one of the two")
    shown = f"prompt_file={prompt_file}"
    if prompt_file == STANDARD_INPUT and standard_input is None and sys.stdin is None:
        raise UserError(f"{shown}: cannot be read: standard input is closed")
    try:
        if prompt_file == STANDARD_INPUT:
            data = (standard_input or sys.stdin.buffer).read()
        else:
            data = Path(prompt_file).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"{shown}: cannot be read: {error.strerror or error}\nname a readable text file") from None
    except (ValueError, RuntimeError) as error:  # a zero byte in a path; no home
        raise UserError(f"{shown!r}: cannot be read: {error}\nname a readable text file") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{shown}: not UTF-8: byte 0x{data[error.start]:02X} at offset {error.start}\n"
            "convert it first, for instance: iconv -f latin1 -t utf-8 FILE > NEW_FILE"
        ) from None


def encode_prompt(tokenizer: Tokenizer, prompt: str, unknown: Unknown) -> Tensor:
    """The prompt's tokens, int64 `[n]`; n may be 0.

    Raises:
        UserError: the prompt holds a lone surrogate, or what the tokenizer does not know while `unknown` is "error".
    """
    try:
        return torch.from_numpy(tokenizer.encode(prompt, unknown).ids)
    except UserError as error:
        raise UserError(f"prompt: {error}") from None


def opening(tokenizer: Tokenizer) -> Tensor:
    """What an empty prompt is read as, int64 `[1]`: a newline, as before a line begins; token 0 where there is none."""
    try:
        ids = tokenizer.encode(_NEWLINE).ids
    except UserError:
        return torch.zeros(1, dtype=torch.int64)
    return torch.from_numpy(ids) if len(ids) == 1 else torch.zeros(1, dtype=torch.int64)
