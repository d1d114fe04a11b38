"""What to type next, given what a run's curve says: keys with numbers, to be tried."""

import math
from typing import Any

from lstm_lm.training.config import TrainConfig
from lstm_lm.training.identity import seconds
from lstm_lm.training.judgement import FEWEST_VALIDATIONS, STILL_FALLS, WIDE, Judgement
from lstm_lm.training.tuning.budget_options import BudgetOptions, twice
from lstm_lm.training.tuning.rule import predicted_loss
from lstm_lm.training.tuning.schedule import as_max_time

ENOUGH = 1000
"""Optimizer steps that show what a model can learn."""
MOST_DROPOUT = 0.5
PATIENCE = 3
"""Validations without a better one: noise alone seldom makes so many."""


def advice(
    judgement: Judgement, config: TrainConfig, steps: int, steps_per_epoch: int, *, parameters: int, tokens: int
) -> str | None:
    """Overrides, as they are typed; None: there is nothing simple to try. With `resume=auto` they continue the run.

    Args:
        judgement: what the curve says.
        config: of the run.
        steps: that it took.
        steps_per_epoch: optimizer steps in one pass.
        parameters: of its model.
        tokens: of its training text.
    """
    trainer = config.trainer
    if trainer.get("fast_dev_run"):
        return None
    match judgement.kind:
        case "short" if judgement.rise and _is_wide(judgement):
            return _more_dropout(config)
        case "short" | "falling":
            return longer(config, steps, steps_per_epoch)
        case "overfitted":
            patient = config.callbacks.early_stopping.patience is not None
            also = None if patient else f"callbacks.early_stopping.patience={PATIENCE}"
            return ", or ".join(filter(None, [_more_dropout(config), also])) or None
        case "unstable":
            return f"optimizer.lr={config.optimizer.lr / 2:g}"
        case "ahead":
            return _more_dropout(config)
        case "level" if _ended_before(config, steps, steps_per_epoch) and config.scheduler.needs_total_steps:
            return longer(config, steps, steps_per_epoch)  # what the rate's decay would have brought is missing
        case "level" if _is_wide(judgement):
            return _more_dropout(config)
        case "level" if _are_few(parameters, tokens, steps / steps_per_epoch, config, judgement):
            return _wider(config)
        case "unclear" if judgement.validations < FEWEST_VALIDATIONS and trainer.get("limit_val_batches") != 0:
            if trainer.get("check_val_every_n_epoch") not in (None, 1):
                return "trainer.check_val_every_n_epoch=1"
            if trainer.get("val_check_interval") is None:
                return f"trainer.val_check_interval={1 / FEWEST_VALIDATIONS:g}"
    return None


def longer(config: TrainConfig, steps: int, steps_per_epoch: int) -> str | None:
    """The limit that ended the run, further away: twice as far, or as many steps as show something.

    None: no limit ended it, but a callback of somebody else's. A schedule that spans the run has ended with it.
    """
    limit = _further(config, steps, steps_per_epoch)
    continues = limit is not None and limit.startswith("trainer.") and not config.scheduler.needs_total_steps
    return f"{limit} resume=auto" if continues else limit


def _further(config: TrainConfig, steps: int, steps_per_epoch: int) -> str | None:
    trainer, tuned = config.trainer, config.tuned or {}
    if tuned.get("name") == BudgetOptions.name:
        return f"budget={twice(tuned['time'])}"
    if _ended_before(config, steps, steps_per_epoch):
        if trainer.get("max_time") is not None:
            return f"trainer.max_time={as_max_time(2 * int(seconds(trainer['max_time'])))}"
        patience = config.callbacks.early_stopping.patience
        return None if patience is None else f"callbacks.early_stopping.patience={2 * max(patience, 1)}"
    target = _round(max(2 * steps, min(max(ENOUGH, steps_per_epoch), 10 * steps)))
    of_epochs, most = _limits(config, steps_per_epoch)
    if most < of_epochs:
        return f"trainer.max_steps={target}" + (" trainer.max_epochs=-1" if target > of_epochs else "")
    return f"trainer.max_epochs={_round(math.ceil(target / steps_per_epoch))}"


def _ended_before(config: TrainConfig, steps: int, steps_per_epoch: int) -> bool:
    """Whether something else than the number of steps or epochs has ended a run after `steps`."""
    return steps < min(_limits(config, steps_per_epoch))


def _limits(config: TrainConfig, steps_per_epoch: int) -> tuple[float, float]:
    """Optimizer steps that `max_epochs` and `max_steps` allow."""
    epochs, steps = config.trainer.get("max_epochs"), config.trainer.get("max_steps")
    return (
        math.inf if epochs in (None, -1) else float(epochs * steps_per_epoch),
        math.inf if steps in (None, -1) else float(steps),
    )


def _more_dropout(config: TrainConfig) -> str | None:
    dropout: Any = config.top.model.get("dropout")
    if not isinstance(dropout, (int, float)) or dropout >= MOST_DROPOUT:
        return None
    return f"model.dropout={min(MOST_DROPOUT, dropout + 0.2):g}"


def _are_few(parameters: int, tokens: int, passes: float, config: TrainConfig, judgement: Judgement) -> bool:
    """Whether a model of twice the width, with about four times the parameters, would gain as the rule goes."""
    dropout: Any = config.top.model.get("dropout")
    share = dropout if isinstance(dropout, (int, float)) else 0.0
    now, then = (predicted_loss(count, tokens, passes, share) for count in (parameters, 4 * parameters))
    return now - then > STILL_FALLS * (judgement.loss or 0.0)


def _wider(config: TrainConfig) -> str | None:
    model = config.top.model
    width: Any = model.get("hidden_size")
    if not isinstance(width, int):
        return None
    # A Transformer's hidden layers alone are not its width, and tied weights are as wide as the embedding.
    both = "num_heads" in model or model.get("tie_weights")
    also = f" model.embedding_size={2 * model['embedding_size']}" if both else ""
    return f"model.hidden_size={2 * width}{also}"


def _is_wide(judgement: Judgement) -> bool:
    return judgement.gap is not None and judgement.loss is not None and judgement.gap > WIDE * judgement.loss


def _round(count: int) -> int:
    """Up to two digits: 7862 -> 7900."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / unit) * unit
