from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"


def data_section(option: str, **changes: Any) -> dict[str, Any]:
    """The `data` section of the configuration as `data=OPTION` composes it, with some keys changed."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = OmegaConf.to_container(compose(overrides=[f"+data={option}"]))
    assert isinstance(composed, dict)
    assert list(composed) == ["data"]  # nothing lands beside it
    return {**composed["data"], **changes}


@pytest.fixture
def section(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`data_section` whose cache lies in this test's own folder."""
    return lambda option, **changes: data_section(option, **{"cache_dir": str(tmp_path / "cache"), **changes})
