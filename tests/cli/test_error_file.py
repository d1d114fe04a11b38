"""With what error a command failed, for the study whose row it ran: too little memory is a row that cannot run here."""

import json
from pathlib import Path

import pytest
import torch

from lstm_lm.cli.error_file import write_error_file
from lstm_lm.errors import ERROR_FILE, Unavailable, UserError


@pytest.mark.parametrize(
    ("error", "text", "unavailable", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), None, True, "not enough memory: OutOfMemoryError: CUDA out of"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            None,
            True,
            "not enough memory: RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
        ),
        (MemoryError(), None, True, "not enough memory: MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), None, True, "not enough memory: RuntimeError"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), None, False, "RuntimeError: CUDA error"),
        (Unavailable("no GPU"), "no GPU", True, "no GPU"),
        (UserError("wrong"), "wrong", False, "wrong"),
    ],
)
def test_what_a_study_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str | None, unavailable: bool, told: str
) -> None:
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "error.json"))
    write_error_file(error, text)
    word = json.loads((tmp_path / "error.json").read_text(encoding="utf-8"))
    assert word["unavailable"] is unavailable
    assert word["text"].startswith(told)
