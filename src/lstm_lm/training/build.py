"""The parts of a training run, made from the configuration and fitted to each other and to the machine."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstm_lm.data.module import TextDataModule
from lstm_lm.errors import UserError
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.forward import hardware
from lstm_lm.forward.choose import AUTO, ForwardPath
from lstm_lm.forward.hardware import Hardware
from lstm_lm.forward.interface import Workload
from lstm_lm.models.build import build_model
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.weights import model_weights
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.code_version import code_version
from lstm_lm.tokenizers import Tokenizer, tokenizer_from_json
from lstm_lm.tokenizers.interface import UnknownText
from lstm_lm.training.averaging import build_averaging
from lstm_lm.training.compile.compilation import compile_parts
from lstm_lm.training.compile.compilers import check_possible
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.identity import text_differences
from lstm_lm.training.length import check_validation_interval, total_steps_of, windows_per_epoch
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.nonfinite import NonFinite
from lstm_lm.training.objectives import build_objective
from lstm_lm.training.origin import find_origin, refuse_fixed, section_of, start_from
from lstm_lm.training.plan import Checkpoint, Plan, refuse_other_text
from lstm_lm.training.processes.team import ALONE, Team
from lstm_lm.training.runtime.memory import refuse_without_room
from lstm_lm.training.state import RunState
from lstm_lm.training.weight_average import WeightAverage

TUNED = "tune=speed"
"""The reason for what tuning has chosen."""


@dataclass(frozen=True)
class Parts:
    """All that a run is made of."""

    hardware: Hardware
    data: TextDataModule
    model: LanguageModel
    choice: ForwardPath
    """The forward strategy that runs, and why."""
    task: LanguageModelTask
    steps_per_epoch: int
    total_steps: int | None
    """Of the whole run, where a limit in steps or epochs says so."""
    team: Team
    """The processes that train together."""
    added_tokens: list[str] | None
    """What `data.unknown=extend` has added to the vocabulary, nothing perhaps; None: it was to stay as it was."""

    def close(self) -> None:
        """End the threads that a forward strategy has."""
        self.model.close()


def build(plan: Plan, team: Team = ALONE, data: TextDataModule | None = None) -> Parts:
    """Make the parts as one process of `team` has them; where a run is resumed, as they were then. Close them.

    `data` is the text, where it has been read already.

    Raises:
        UserError: unusable text, weights that do not fit, a device that is not there, nothing that can be compiled.
        RunError: the disk is full.
    """
    config, checkpoint = plan.config, plan.checkpoint
    saved = None if checkpoint is None else checkpoint.section
    if checkpoint is not None:
        _check_number(1 + len(checkpoint.section.get("other_processes", [])), team, checkpoint.path)
    machine = _same_choices(_of_rank(plan.hardware, team), saved, config)
    chosen = {} if config.tuned is None else config.tuned["chosen"]
    if "trainer.precision" in chosen:
        machine = machine._replace(precision_reason=TUNED)
    origin = find_origin(config.top.init_from) if checkpoint is None else None
    known = saved or (origin or {}).get("lstm_lm")
    tokenizer = None if known is None else tokenizer_from_json(known["tokenizer"])
    extend = origin is not None and config.top.data["unknown"] == "extend"
    if tokenizer is not None and extend:
        refuse_fixed(tokenizer, str(config.top.init_from))
    made_by = config.top.tokenizer if origin is None else section_of(origin, "tokenizer")
    try:
        data = data or _read_text(config, machine.device, made_by, tokenizer, team, extend=extend)
    except UnknownText as error:
        if origin is None or tokenizer is None or not tokenizer.grows:
            raise
        raise UnknownText(f"{error}\ndata.unknown=extend adds tokens for it, which training learns") from None
    if checkpoint is not None and config.top.resume != "force":
        now = data.manifest.model_dump(mode="json")
        refuse_other_text(text_differences(checkpoint.section["data"], now), checkpoint.path)
    vocabulary, averages = data.tokenizer.vocabulary_size, config.optimizer.averages
    if config.top.forward.get("devices") is None:  # else layers are spread, and no one device need have room for all
        refuse_without_room(config.top.model, vocabulary, averages, machine.parameter_dtype, machine.device)
    _seed_everything(config.top.seed)
    model = build_model(config.top.model, vocabulary)
    model.to(machine.parameter_dtype)  # now: Lightning does so only after a checkpoint's weights have been put in
    if checkpoint is not None:
        _refuse_other_shapes(checkpoint, model)
    model.masks.seed((config.top.seed + team.rank) % 2**32)
    choice = _forward(model, machine, saved, config)
    _check_placement(config.top.forward.get("devices"), machine.precision, team)
    if "forward.name" in chosen:
        choice = choice._replace(reason=TUNED)
    added_tokens = None if saved is None else saved.get("added_tokens")
    if tokenizer is not None and origin is not None:
        before = tokenizer.vocabulary_size
        start_from(model, config.top.model, origin, before, str(config.top.init_from))
        if extend:
            added_tokens = [data.tokenizer.decode([token]) for token in range(before, vocabulary)]
    windows = windows_per_epoch(config.trainer, data.windows_per_epoch)
    check_validation_interval(config.trainer, windows)
    # the last step of an epoch may have fewer windows
    steps_per_epoch = math.ceil(windows / int(config.trainer["accumulate_grad_batches"]))
    total_steps = total_steps_of(config, steps_per_epoch)
    objective = build_objective(config.top.objective, config.top.model)
    average = WeightAverage(model, build_averaging(config.top.averaging, config.trainer))
    task = LanguageModelTask(
        model,
        objective,
        config.optimizer,
        config.scheduler,
        state=RunState(model, average, team),
        nonfinite=NonFinite(config.top.on_nonfinite, data.tokenizer),
        total_steps=total_steps,
        precision=machine.precision,
        whole_window=data.options.batch_size * data.options.seq_len,
        sizes=TokenSizes(data.tokenizer),
        splits=data.manifest.splits,
        provenance={
            "schema_version": checkpoint_file.SCHEMA_VERSION,
            "config": {**config.plain, "tokenizer": made_by},
            "tokenizer": data.tokenizer.to_json(),
            "added_tokens": added_tokens,
            "data": data.manifest.model_dump(mode="json"),
            "training_units": data.training_units() if model.objective == "language_modelling" else None,
            "code": code_version(),
            "tuning": config.tuned,
            "resolved": {
                "device": machine.device.type,
                "precision": machine.precision,
                "forward": choice.name,
                "threads": torch.get_num_threads(),
            },
        },
        team=team,
    )
    return Parts(machine, data, model, choice, task, steps_per_epoch, total_steps, team, added_tokens)


def build_compiled(plan: Plan, team: Team = ALONE, data: TextDataModule | None = None) -> Parts:
    """What `build` makes, compiled where that is asked for.

    Raises:
        UserError, RunError: what `build` raises; nothing of the model can be compiled here.
    """
    parts, config = build(plan, team, data), plan.config
    check_possible(config.compile, parts.hardware.device, profiler=config.trainer.get("profiler"))
    compile_parts(config.compile, parts.model, parts.task.objective)
    return parts


def _refuse_other_shapes(checkpoint: Checkpoint, model: torch.nn.Module) -> None:
    """Refuse weights of another model: not even resume=force makes one of them."""
    own = {name: list(weight.shape) for name, weight in model.state_dict().items()}
    then = {name: list(weight.shape) for name, weight in model_weights(checkpoint.content).items()}
    different = [name for name in {**then, **own} if then.get(name) != own.get(name)]
    if different:
        name, path = different[0], checkpoint.path
        raise UserError(
            f"{path}: its weights are of another model: {name} is {then.get(name)} there, {own.get(name)} here\n"
            "resume=force cannot change that: bring back the model's keys, or start a run in another hydra.run.dir"
        )


def _read_text(
    config: TrainConfig,
    device: torch.device,
    tokenizer_options: Mapping[str, Any],
    tokenizer: Tokenizer | None,
    team: Team,
    *,
    extend: bool,
) -> TextDataModule:
    data = TextDataModule(
        config.top.data,
        tokenizer_options,
        config.top.seed,
        tokenizer,
        extend=extend,
        rank=team.rank,
        world_size=team.size,
        repeat_windows=config.trainer.get("overfit_batches") or 0,
        device=device,
        token_stream=config.runtime.token_stream,
    )
    data.prepare()
    return data


def _check_placement(devices: list[str] | None, precision: str, team: Team) -> None:
    """Refuse layers on several devices where what else acts on all parameters cannot follow."""
    if devices is None:
        return
    if team.size > 1:
        raise UserError(
            f"forward.devices={devices}: {team.size} processes cannot each spread their layers over the same devices\n"
            "use either device=ddp or forward.devices"
        )
    if precision == "16-mixed" and len({torch.device(name).type for name in devices}) > 1:
        raise UserError(
            "precision=16-mixed: its gradient scaler cannot serve layers on the CPU and on a GPU at once\n"
            "use precision=32-true or bf16-mixed, or name devices of one kind in forward.devices"
        )


def workload_of(config: TrainConfig, precision: str) -> Workload:
    """What training asks of a forward strategy, in this precision."""
    data = config.top.data
    return Workload(
        batch_size=data["batch_size"],
        steps=data["seq_len"],
        dtype=hardware.TYPES[precision][1],
        training=True,
        compiled=config.compile.enabled,
    )


def _of_rank(machine: Hardware, team: Team) -> Hardware:
    if team.device is None:
        return machine
    return machine._replace(device=team.device, processes=team.size)


def _check_number(then: int, team: Team, checkpoint: Path) -> None:
    if then != team.size:
        before, now = (f"{count} process" + "es" * (count > 1) for count in (then, team.size))
        raise UserError(
            f"{checkpoint}: was trained by {before}, and this would be {now}\n"
            f"set trainer.devices={then}, or start a new run from its weights with init_from="
        )


def _same_choices(machine: Hardware, saved: dict[str, Any] | None, config: TrainConfig) -> Hardware:
    """On the device it was chosen for, `auto` means what it meant before."""
    if saved is None or str(config.trainer["precision"]) != "auto":
        return machine
    resolved = saved["resolved"]
    if resolved["device"] != machine.device.type:
        return machine
    precision = resolved["precision"]
    reason = f"as before{hardware.drawback(precision, machine.device)}"
    return machine._replace(precision=precision, precision_reason=reason)


def _forward(model: LanguageModel, machine: Hardware, saved: dict[str, Any] | None, config: TrainConfig) -> ForwardPath:
    """The strategy that is asked for; on the device it was chosen for, `auto` is the one that ran before."""
    as_before = (
        saved is not None and config.top.forward["name"] == AUTO and saved["resolved"]["device"] == machine.device.type
    )
    asked: str | Mapping[str, Any] = config.top.forward
    if saved is not None and as_before:
        name, section = saved["resolved"]["forward"], saved["config"]["forward"]
        asked = section if section["name"] == name else name  # what was asked for then, or what auto took
    workload = workload_of(config, machine.precision)
    choice = model.use_forward(asked, machine.device, workload)
    return choice._replace(reason=choice.reason.replace("asked for", "as before", 1)) if as_before else choice


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
