"""The keys of each configuration whose values are free text or paths."""

from collections.abc import Mapping

from lstm_lm.cli.quoting import FreeText

FREE_TEXT: Mapping[str, Mapping[str, FreeText]] = {
    "train": {
        "data.path": FreeText.PATH,
        "data.validation_path": FreeText.PATH,
        "data.test_path": FreeText.PATH,
        "data.cache_dir": FreeText.PATH,
        "ckpt_path": FreeText.PATH,
        "init_from": FreeText.PATH,
        "study.dir": FreeText.PATH,
        "hydra.run.dir": FreeText.HYDRA_PATH,
        "hydra.sweep.dir": FreeText.HYDRA_PATH,
        "callbacks.samples.prompt": FreeText.TEXT,
    },
    "generate": {
        "prompt": FreeText.TEXT,
        "stop": FreeText.TEXTS,
        "prompt_file": FreeText.PATH,
        "run": FreeText.PATH,
        "ckpt_path": FreeText.PATH,
        "runs_dir": FreeText.PATH,
    },
    "evaluate": {
        "method.prompt": FreeText.TEXT,
        "data.path": FreeText.PATH,
        "data.validation_path": FreeText.PATH,
        "data.test_path": FreeText.PATH,
        "data.cache_dir": FreeText.PATH,
        "run": FreeText.PATH,
        "ckpt_path": FreeText.PATH,
        "runs_dir": FreeText.PATH,
    },
    "runs": {
        "runs_dir": FreeText.PATH,
        "runs": FreeText.PATH,
        "where.status": FreeText.TEXTS,
        "where.data": FreeText.TEXTS,
        "where.model": FreeText.TEXTS,
        "where.folder": FreeText.TEXTS,
        "where.match": FreeText.TEXTS,
        "sort": FreeText.TEXT,
        "diff": FreeText.PATH,
        "plot": FreeText.PATH,
        "metric": FreeText.TEXT,
        "title": FreeText.TEXT,
    },
    "embed": {
        "data.path": FreeText.PATH,
        "out": FreeText.PATH,
        "run": FreeText.PATH,
        "ckpt_path": FreeText.PATH,
        "runs_dir": FreeText.PATH,
    },
}
"""By the name of the configuration, a file at the top of `conf/`."""
