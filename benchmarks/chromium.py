"""A headless Chromium, driven through the DevTools protocol over two pipes: no port, no library, no network.

Of the protocol (https://chromedevtools.github.io/devtools-protocol/): messages are JSON with a zero byte behind; the
browser reads them from file descriptor 3 and answers on 4 (`--remote-debugging-pipe`).
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 60.0
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--hide-scrollbars",
    "--mute-audio",
)
_START = """
import os, sys
reads, writes = (os.dup(int(word)) for word in sys.argv[1:3])
reads, writes = os.dup2(reads, 60), os.dup2(writes, 61)
os.dup2(reads, 3), os.dup2(writes, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def found() -> str | None:
    """A Chromium on this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One page of the browser, and what has happened in it."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        self._received = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        """Errors and warnings of the console, and exceptions that nothing caught."""
        self.requests: list[str] = []
        """Every address that was asked for, the page's own included."""

    def attach(self) -> None:
        """Make a page, and listen to it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol.

        Raises:
            RuntimeError: the browser refuses, or is gone.
            TimeoutError: it does not answer.
        """
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(SECONDS)
            if answer is None:
                raise TimeoutError(f"{method}: no answer")
            if answer.get("id") != self._number:
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return answer["result"]

    def open(self, path: Path, *, media: Mapping[str, str] | None = None) -> None:
        """Open a file, under media features such as `prefers-color-scheme`, and wait until it has run its scripts."""
        features = [{"name": name, "value": value} for name, value in (media or {}).items()]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=path.absolute().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as plain data; a promise's once it has one.

        Raises:
            RuntimeError: it throws.
        """
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = SECONDS) -> None:
        """Until it is true.

        Raises:
            TimeoutError: it does not become so.
        """
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"not true after {seconds:.0f} s: {expression}")
            self._next(0.05)

    def size(self, width: int, height: int, *, scale: float = 1, touch: bool = False) -> None:
        """The window's size in CSS pixels, and how many of the screen's each is."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=touch
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)

    def picture(self, path: Path) -> None:
        """The window as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _next(self, seconds: float) -> dict[str, Any] | None:
        """The next message, looked at; None: there is none in time."""
        while b"\0" not in self._received:
            if not select.select([self._reads], [], [], seconds)[0]:
                return None
            more = os.read(self._reads, 1 << 16)
            if not more:
                raise RuntimeError("Chromium has ended")
            self._received += more
        first, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        self._look(message.get("method"), message.get("params", {}))
        return message

    def _look(self, event: str | None, told: Mapping[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(json.dumps(told["entry"]))
        elif event == "Network.requestWillBeSent":
            self.requests.append(str(told["request"]["url"]))


@contextmanager
def chromium(program: str, profile: Path) -> Iterator[Page]:
    """A browser with one page, and a profile of its own in a folder that goes away with it."""
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()
    # root has no sandbox there, and a container may forbid it; what is opened here was made here
    flags = [*_FLAGS, "--no-sandbox", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, str(from_us), str(to_us), program, *flags],
        pass_fds=(from_us, to_us),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (from_us, to_us):
        os.close(end)
    page = Page(from_browser, to_browser)
    try:
        page.attach()
        yield page
    finally:
        with suppress(RuntimeError, TimeoutError, OSError):
            page._session = None
            page.call("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        for end in (from_browser, to_browser):
            os.close(end)
        shutil.rmtree(profile, ignore_errors=True)
