"""What bounds a service; `conf/serve.yaml` explains each key."""

from typing import Annotated

from pydantic import Field

from lstm_lm.options import Options
from lstm_lm.tokenizers import Unknown


class ServeOptions(Options):
    """Where it listens, and how much it takes."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=0, le=65535)]
    unknown: Unknown
    max_texts: Annotated[int, Field(ge=1, le=4096)]
    max_characters: Annotated[int, Field(ge=1, le=1 << 24)]
    max_tokens: Annotated[int, Field(ge=1, le=1 << 24)]
    max_seconds: Annotated[float, Field(gt=0, le=86400)]
