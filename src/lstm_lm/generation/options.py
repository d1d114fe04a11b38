"""The keys of `generate` that concern the text, and their ranges."""

from typing import Annotated

from pydantic import Field

from lstm_lm.options import Options
from lstm_lm.tokenizers.interface import Unknown

StopString = Annotated[str, Field(min_length=1)]


class GenerateOptions(Options):
    """The prompt and how it is continued."""

    prompt: str | None
    prompt_file: str | None
    max_new_tokens: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(ge=0)]
    top_k: Annotated[int, Field(ge=1)] | None
    top_p: Annotated[float, Field(gt=0, le=1)]
    min_p: Annotated[float, Field(ge=0, le=1)]
    num_samples: Annotated[int, Field(ge=1, le=65536)]
    only_new: bool
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None
    stop: StopString | list[StopString] | None
    unknown: Unknown
