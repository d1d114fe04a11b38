"""What is where in a checkpoint, and of which type: a forged one is refused here, not where it is used.

Values are not judged, nor shapes: whether they fit a model is for those to say who have it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from torch import Tensor

from lstm_lm.errors import UserError

Count = Annotated[int, Field(ge=0, lt=2**53)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _without_tensors(value: Any) -> Any:
    if isinstance(value, Tensor):
        raise ValueError("must be a plain value")
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ():
        _without_tensors(part)
    if isinstance(value, Mapping) and not all(isinstance(name, str) for name in value):
        raise ValueError("must have names for keys")
    return value


Plain = Annotated[dict[str, Any], AfterValidator(_without_tensors)]


class _Part(BaseModel):
    """Other fields than those named are none of this module's business."""

    model_config = ConfigDict(strict=True, extra="allow", arbitrary_types_allowed=True, protected_namespaces=())


class _Named(_Part):
    name: str


class _Config(_Part):
    """Sections that are looked into before the options that they belong to are checked."""

    data: Plain
    tokenizer: Plain
    model: Plain
    forward: _Named
    precision: Plain
    compile: Plain
    device: Plain
    objective: Plain
    optimizer: Plain
    scheduler: Plain
    averaging: Plain
    tune: Plain
    init_from: str | None
    trainer: Plain
    callbacks: Plain
    logger: Plain
    runtime: Plain


class _Split(_Part):
    tokens: Count
    start: Count
    stop: Count | None


class _Text(_Part):
    sources: dict[str, str]
    splits: dict[str, _Split]


class _Tuning(_Part):
    name: str
    chosen: dict[str, bool | int | float | str | None]


class _Resolved(_Part):
    device: str
    precision: str
    forward: str
    threads: Annotated[int, Field(ge=1, le=2**16)]


class _Masks(_Part):
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    device: str | None = None
    bits: Tensor | None = None


class _Generators(_Part):
    masks: _Masks
    torch: Tensor
    cuda: Tensor | None = None


class _Process(_Part):
    hidden: Any
    generators: _Generators


class _Averaging(_Part):
    weights: dict[str, Tensor]
    count: Count
    steps: Count
    losses: list[Finite]
    begun: bool
    options: Plain


class _Counts(_Part):
    tokens: Annotated[int, Field(ge=1, lt=2**53)]
    characters: Count
    bytes: Count


class _Validation(_Part):
    step: Count
    text: Count
    loss: float
    counts: _Counts
    no_bits: str | None
    shares: dict[str, float]


class _Section(_Process):
    config: _Config
    tokenizer: Plain
    data: _Text
    tuning: _Tuning | None
    resolved: _Resolved
    code: dict[str, str]
    averaging: _Averaging
    place: Plain | None
    row: dict[str, float]
    validation_due: bool
    within_a_step: bool
    other_processes: Annotated[list[_Process], Field(max_length=2**16)]
    seconds: Annotated[Finite, Field(ge=0)]
    validation: _Validation | None


class _Timer(_Part):
    time_elapsed: dict[str, Annotated[Finite, Field(ge=0)]]


class _Callbacks(_Part):
    """Others check their own state."""

    timer: _Timer | None = Field(default=None, alias="Timer")


class _Checkpoint(_Part):
    epoch: Count
    global_step: Count
    version: Annotated[
        str, Field(alias="pytorch-lightning_version", pattern=r"^([3-9]|2\.([6-9]|\d\d))\.[\w.+]{1,40}$")
    ]
    state_dict: dict[str, Tensor]
    loops: dict[str, Any]
    callbacks: Annotated[_Callbacks, BeforeValidator(_without_tensors)]
    optimizer_states: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1)]
    lr_schedulers: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1)]
    lstm_lm: _Section


def check(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint of whose fields one is of another type than it has to be; fields may be missing.

    Raises:
        UserError: names the field.
    """
    _check(checkpoint, path, missing=True)


def check_whole(checkpoint: Mapping[str, Any], path: Path) -> None:
    """The same, of one that training goes on from: nothing may be missing.

    Raises:
        UserError: names the field.
    """
    _check(checkpoint, path, missing=False)


def _check(checkpoint: Mapping[str, Any], path: Path, *, missing: bool) -> None:
    section = checkpoint["lstm_lm"]
    for name in ("config", "data", "tuning", "resolved"):
        try:
            _without_tensors(section.get(name))
        except ValueError as error:
            raise misfit(path, f"lstm_lm.{name}: {error}") from None
    try:
        _Checkpoint.model_validate(checkpoint)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            if not (missing and problem["type"] == "missing"):
                where = ".".join(map(str, problem["loc"]))
                raise misfit(path, f"{where:.200}: {problem['msg']:.200}") from None


def misfit(path: Path, what: str) -> UserError:
    """The error for a checkpoint that is whole, and not what one of a run is."""
    return UserError(
        f"{path}: the parts of this checkpoint do not fit together:\n{what}\n"
        "use another checkpoint: ckpt_path=FILE or run=DIR"
    )
