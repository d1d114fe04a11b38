"""As much of MLflow's client as Lightning's MLFlowLogger calls, in memory: for where the package is not installed.

It refuses what MLflow refuses: runs that are not there, and other parameters than before.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

RUNS: dict[str, dict[str, Any]] = {}


class MlflowClient:
    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id=name, lifecycle_stage="active")

    def create_run(self, experiment_id: str, tags: dict[str, str]) -> Any:
        run_id = f"{len(RUNS):032x}"
        RUNS[run_id] = {"tags": tags, "params": {}, "metrics": [], "status": "RUNNING"}
        return self.get_run(run_id)

    def get_run(self, run_id: str) -> Any:
        if run_id not in RUNS:
            raise LookupError(f"Run {run_id} not found")
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id, experiment_id="lstm-lm"))

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        run = RUNS[run_id]
        for param in params:
            if run["params"].setdefault(param.key, param.value) != param.value:
                raise ValueError("Changing param values is not allowed")
        run["metrics"] += [(metric.key, metric.step, metric.value) for metric in metrics]

    def set_terminated(self, run_id: str, status: str) -> None:
        RUNS[run_id]["status"] = status


def put_in_place(monkeypatch: Any) -> None:
    """In this test, `import mlflow` gives this."""
    names = ("mlflow", "mlflow.tracking", "mlflow.tracking.context", "mlflow.tracking.context.registry")
    modules = {
        name: ModuleType(name) for name in (*names, "mlflow.entities", "mlflow.utils", "mlflow.utils.mlflow_tags")
    }
    modules["mlflow"].__path__ = []  # type: ignore[attr-defined]
    modules["mlflow"].__spec__ = SimpleNamespace()  # type: ignore[assignment]  # it counts as installed
    contents: dict[str, dict[str, Any]] = {
        "mlflow": {"set_tracking_uri": lambda uri: None},
        "mlflow.tracking": {"MlflowClient": MlflowClient, "context": modules["mlflow.tracking.context"]},
        "mlflow.tracking.context": {"registry": modules["mlflow.tracking.context.registry"]},
        "mlflow.tracking.context.registry": {"resolve_tags": lambda tags: tags},
        "mlflow.entities": {"Metric": SimpleNamespace, "Param": SimpleNamespace},
        "mlflow.utils.mlflow_tags": {"MLFLOW_RUN_NAME": "mlflow.runName"},
    }
    for name, module in modules.items():
        vars(module).update(contents.get(name, {}))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", True)
    RUNS.clear()
