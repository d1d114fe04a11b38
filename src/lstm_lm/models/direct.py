"""What language models without recurrent layers share: one way to run, so there is no forward strategy to choose."""

from collections.abc import Mapping
from typing import Any

import torch

from lstm_lm.errors import UserError
from lstm_lm.forward.choose import AUTO, DIRECT, NoStrategy
from lstm_lm.forward.interface import ForwardOptions, Workload
from lstm_lm.models.interface import LanguageModel


class DirectLanguageModel(LanguageModel):
    """A language model that torch's own operators run, whatever `forward` might choose for others."""

    @classmethod
    def check_forward(cls, section: Mapping[str, Any]) -> None:
        if section.get("name") not in (AUTO, DIRECT):
            raise UserError(
                f"forward={section.get('name')}: runs stacks of recurrent layers, and this model has none\n"
                "use forward=auto, or another model="
            )
        ForwardOptions.parse(section, "forward")

    def use_forward(
        self,
        forward: str | Mapping[str, Any],
        device: torch.device,  # noqa: ARG002
        workload: Workload,  # noqa: ARG002
    ) -> NoStrategy:
        self.check_forward({"name": forward} if isinstance(forward, str) else forward)
        return NoStrategy()
