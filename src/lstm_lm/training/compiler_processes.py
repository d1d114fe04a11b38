"""The C++ compilers that torch.compile starts: out of reach of the terminal's Ctrl-C, and ended when the run is.

Ctrl-C goes to every process of the terminal's foreground group. A compiler that it kills would make the run *fail*,
where it was asked to stop after the step that is being compiled; so compilers get a session of their own. (Not where
the process has one already, and ends with another: there they stay in its group, to end with it.) In return they must
be ended with the run: TorchInductor waits for them in threads, which hold up a process's end for minutes.
"""

import signal
import subprocess
from types import TracebackType
from typing import Any, Self

from lstm_lm import lifeline
from lstm_lm.process_group import OWN_GROUP, end_family


class CompilerProcesses:
    """Stands in for the module `subprocess` where TorchInductor starts compilers; as a context, for a run's length."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[Any]] = set()
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        """All else is the module's own."""
        return getattr(subprocess, name)

    def __enter__(self) -> Self:
        """Take the module's place."""
        _start_with(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back; after an error, nobody needs what is being compiled."""
        _start_with(subprocess)
        if error is not None:
            self._end()

    def run(self, command: Any, *, check: bool = False, **options: Any) -> subprocess.CompletedProcess[Any]:
        """`subprocess.run`, as far as TorchInductor uses it.

        Raises:
            CalledProcessError: the process failed, and `check` is set; or the run has ended.
        """
        if self._ended:
            raise subprocess.CalledProcessError(-signal.SIGTERM, command, output=b"")
        alone = not lifeline.is_tied()
        with subprocess.Popen(
            command, start_new_session=alone, creationflags=OWN_GROUP if alone else 0, **options
        ) as process:
            self._running.add(process)
            try:
                output, errors = process.communicate()
            finally:
                self._running.discard(process)
                if process.returncode is None:
                    end_family(process)  # g++ is a driver of others
        if check and process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, output=output, stderr=errors)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def _end(self) -> None:
        self._ended = True
        for process in [*self._running]:
            end_family(process)


def _start_with(starter: Any) -> None:
    from torch._inductor import cpp_builder  # slow to import: only where it is going to be used

    vars(cpp_builder)["subprocess"] = starter
