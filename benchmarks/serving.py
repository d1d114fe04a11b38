"""A service under load: 32 clients at once for a minute, against `generate` in one batch of 32.

    python benchmarks/serving.py [--clients 32] [--seconds 60] [--tokens 200] [--out FILE.json]

The server is a process of its own, the clients are threads of this one, which ask again and again, each for a text of
so many tokens, streamed, over a connection that stays. Every answer is checked: it has all of its tokens and its end.
The server's memory is read before the load, once it is warm, and after it. In between, in turns with the load, this
process writes as many texts in one batch, by `lstm_lm.generate`, while the server has nothing to do: so what else the
machine does meets both. Under load the clients have their share of the same cores. One layer of 256, untrained, 64
characters, float32 on the CPU, and PyTorch's own number of threads in both, unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from figures import record, save
from generation import ALPHABET, MODEL

import lstm_lm
from lstm_lm.models.build import build_model
from lstm_lm.models.loading import Loaded
from lstm_lm.runs import checkpoint_file
from lstm_lm.tokenizers.char import CharTokenizer

HIDDEN = 256
WARM_SECONDS = 5.0
ROUNDS = 6
"""That the load is cut into; after each, `generate` writes once."""


def write_run(folder: Path) -> None:
    """A run directory with an untrained model."""
    section = {**MODEL, "embedding_size": 128, "hidden_size": HIDDEN, "num_layers": 1}
    tokenizer = CharTokenizer(ALPHABET)
    torch.manual_seed(1)
    model = build_model(section, tokenizer.vocabulary_size)
    weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    about = {"schema_version": 1, "config": {"model": section}, "tokenizer": tokenizer.to_json()}
    path = folder / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    checkpoint_file.save({"state_dict": weights, "lstm_lm": about}, path)


class Client:
    """Asks until it is told to stop, and counts."""

    def __init__(self, port: int, number: int, tokens: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._number = number
        self._tokens = tokens
        self.answers = self.tokens = self.lost = 0
        self.first: list[float] = []
        """Seconds to the first piece."""

    def until(self, stop: threading.Event) -> None:
        """Ask, one request after the other."""
        while not stop.is_set():
            try:
                self._ask()
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                print(f"client {self._number}: {error!r}", file=sys.stderr)
                self.lost += 1
                self._connection.close()
        self._connection.close()

    def _ask(self) -> None:
        body = {"prompt": "TO BE", "max_tokens": self._tokens, "temperature": 0.8, "stream": True}
        start = time.perf_counter()
        self._connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        response = self._connection.getresponse()
        text, finish, ended = "", None, False
        for line in response:
            if not text and line.startswith(b"data: "):
                self.first.append(time.perf_counter() - start)
            if line == b"data: [DONE]\n":
                ended = True
            elif line.startswith(b"data: "):
                (choice,) = json.loads(line.removeprefix(b"data: "))["choices"]
                text, finish = text + choice["text"], choice["finish_reason"]
        if response.status != 200 or not ended or finish != "length" or len(text) != self._tokens:
            raise ValueError(f"status {response.status}, {len(text)} characters, ended: {ended}")
        self.answers += 1
        self.tokens += len(text)


def load(port: int, clients: int, seconds: float, tokens: int) -> tuple[list[Client], float]:
    """The clients, after so long, and how long it was until the last answer."""
    made = [Client(port, number, tokens) for number in range(clients)]
    stop = threading.Event()
    threads = [threading.Thread(target=client.until, args=(stop,)) for client in made]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return made, time.perf_counter() - start


def serve(run: Path) -> tuple["subprocess.Popen[str]", int]:
    """The server and its port, once it answers."""
    command = [sys.executable, "-m", "lstm_lm", "serve", f"run={run}", "port=0", "device=cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "http://" in line:
            return process, int(line.split()[0].rpartition(":")[2])
    raise SystemExit("the server has not started")


def idle(port: int) -> bool:
    """Whether nobody is being answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/health")
    with connection.getresponse() as answer:
        return bool(json.load(answer)["texts"] == 0)


def in_one_batch(loaded: Loaded, texts: int, tokens: int) -> float:
    """Tokens a second of `generate`."""
    start = time.perf_counter()
    lstm_lm.generate(loaded, "TO BE", num_samples=texts, max_new_tokens=tokens, temperature=0.8)
    return texts * tokens / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tokens", type=int, default=200, help="of each text")
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        write_run(run)
        loaded = lstm_lm.load(run)
        in_one_batch(loaded, arguments.clients, arguments.tokens)
        process, port = serve(run)
        try:
            load(port, arguments.clients, WARM_SECONDS, arguments.tokens)
            memory = psutil.Process(process.pid).memory_info
            before, busy_before = memory().rss, psutil.getloadavg()[0]
            clients: list[Client] = []
            served, alone = [], []
            is_idle = True
            for _ in range(ROUNDS):
                found, seconds = load(port, arguments.clients, arguments.seconds / ROUNDS, arguments.tokens)
                clients += found
                served.append(sum(client.tokens for client in found) / seconds)
                is_idle = is_idle and idle(port)
                alone.append(in_one_batch(loaded, arguments.clients, arguments.tokens))
            after = memory().rss
        finally:
            process.terminate()
            process.communicate()
    firsts = [second for client in clients for second in client.first]
    results: dict[str, Any] = {
        "answers": sum(client.answers for client in clients),
        "lost": sum(client.lost for client in clients),
        "fewest_answers_of_a_client": min(
            sum(client.answers for client in clients[number :: arguments.clients])
            for number in range(arguments.clients)
        ),
        "nobody_left_at_the_end": is_idle,
        "memory_mib": {"start": round(before / 2**20, 1), "end": round(after / 2**20, 1)},
        "tokens_per_second": {"served": round(statistics.median(served)), "generate": round(statistics.median(alone))},
        "served / generate": round(statistics.median(a / b for a, b in zip(served, alone, strict=True)), 3),
        "seconds_to_the_first_piece": {
            "median": round(statistics.median(firsts), 3),
            "slowest": round(max(firsts), 3),
        },
        "load_of_the_machine_before": round(busy_before, 1),
    }
    settings = {
        "clients": arguments.clients,
        "seconds": arguments.seconds,
        "rounds": ROUNDS,
        "tokens": arguments.tokens,
        "hidden_size": HIDDEN,
        "num_layers": 1,
        "vocabulary_size": len(ALPHABET),
        "threads": torch.get_num_threads(),
    }
    for name, value in results.items():
        print(f"{name:<28}{value}")
    save(record("serving", torch.device("cpu"), settings, results), arguments.out)


if __name__ == "__main__":
    main()
