"""What to type next, given what a run's curve says: keys with numbers, to be tried."""

import math
import re
from typing import Any

from lstm_lm.training.config import TrainConfig
from lstm_lm.training.identity import seconds
from lstm_lm.training.judgement import FEWEST_VALIDATIONS, WIDE, Judgement
from lstm_lm.training.tuning.schedule import as_max_time

ENOUGH = 1000
"""Optimizer steps that show what a model can learn."""
MOST_DROPOUT = 0.5
PATIENCE = 3
"""Validations without a better one: noise alone seldom makes so many."""
_BUDGET = re.compile(r"([\d.]+)\s*([smh])")


def advice(judgement: Judgement, config: TrainConfig, steps: int, steps_per_epoch: int) -> str | None:
    """One or two overrides, as they are typed; None: there is nothing simple to try.

    Args:
        judgement: what the curve says.
        config: of the run.
        steps: that it took.
        steps_per_epoch: optimizer steps in one pass.
    """
    match judgement.kind:
        case "short" | "falling":
            return longer(config, steps, steps_per_epoch)
        case "overfitted":
            patient = config.callbacks.early_stopping.patience is not None
            also = None if patient else f"callbacks.early_stopping.patience={PATIENCE}"
            return ", or ".join(filter(None, [_more_dropout(config), also])) or None
        case "unstable":
            rate = config.plain["optimizer"].get("lr")
            return None if not rate else f"optimizer.lr={rate / 2:g}"
        case "ahead":
            return _more_dropout(config)
        case "level":
            return _more_dropout(config) if _is_wide(judgement) else _wider(config)
        case "unclear" if config.trainer.get("val_check_interval") is None:
            return f"trainer.val_check_interval={1 / FEWEST_VALIDATIONS:g}"
    return None


def longer(config: TrainConfig, steps: int, steps_per_epoch: int) -> str:
    """The limit that ended the run, further away: twice as far, or as many steps as show something."""
    trainer, tuned = config.trainer, config.tuned or {}
    if budget := _BUDGET.fullmatch(str(tuned.get("time"))):
        return f"budget={2 * float(budget[1]):g}{budget[2]}"
    target = _round(max(2 * steps, min(max(ENOUGH, steps_per_epoch), 10 * steps)))
    epochs, most = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    of_epochs = math.inf if epochs in (None, -1) else int(epochs) * steps_per_epoch
    if trainer.get("max_time") is not None and steps < min(of_epochs, math.inf if most in (None, -1) else int(most)):
        return f"trainer.max_time={as_max_time(2 * int(seconds(trainer['max_time'])))}"
    if most not in (None, -1) and int(most) < of_epochs:
        return f"trainer.max_steps={target}" + (" trainer.max_epochs=-1" if target > of_epochs else "")
    return f"trainer.max_epochs={_round(math.ceil(target / steps_per_epoch))}"


def _more_dropout(config: TrainConfig) -> str | None:
    dropout: Any = config.top.model.get("dropout")
    if not isinstance(dropout, (int, float)) or dropout >= MOST_DROPOUT:
        return None
    return f"model.dropout={min(MOST_DROPOUT, dropout + 0.2):g}"


def _wider(config: TrainConfig) -> str | None:
    width: Any = config.top.model.get("hidden_size")
    return f"model.hidden_size={2 * width}" if isinstance(width, int) else None


def _is_wide(judgement: Judgement) -> bool:
    return judgement.gap is not None and judgement.loss is not None and judgement.gap > WIDE * judgement.loss


def _round(count: int) -> int:
    """Up to two digits: 7862 -> 7900."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return math.ceil(count / unit) * unit
