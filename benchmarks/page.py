"""`docs/benchmarks.md`, made from the figures in `benchmarks/results/`, so that page and figures cannot differ.

python benchmarks/page.py
"""

import json
from pathlib import Path
from typing import Any

import forward_page
import reasons_page
import training_page
from page_parts import picture, section, span, table

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = PAGE.parent / "images"

INTRODUCTION = """# Benchmarks

Every figure here and in the README comes from a script in [benchmarks/](../benchmarks) and is kept, with machine,
versions, date and commit (as it was when measured; later rebased, it may be missing from the history), in
[benchmarks/results/](../benchmarks/results). Contenders are interleaved within one script, and what counts is the ratio
of each round, since times on a shared machine move. Ratios within a round move less, but not always little: a contender
whose threads wait for each other at every step slows down far more than one whose threads do not, when something else
takes a core. Where that happened, the page says so. Figures with a range are median (lowest-highest) over the rounds.
This page is made by `python benchmarks/page.py`, its pictures by `python benchmarks/plots.py`.

The run in the README is `python train.py data=tinyshakespeare experiment=shakespeare_quick hydra.run.dir=RUN`; its text
is `python generate.py run=RUN prompt="ROMEO:" temperature=0.6 seed=2`, a little different with other versions or
processors. Optimizers have [a page of their own](optimizers.md).
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            INTRODUCTION,
            *training_page.sections(there("training"), IMAGES),
            *forward_page.sections(there("forward"), IMAGES),
            *timeline(),
            *reasons_page.sections(there("forward")),
            *map(wall_time, there("wall_time").values()),
            *map(whole_process, there("whole_process").values()),
            *map(startup, there("startup").values()),
            *map(sixteen_bits, there("sixteen_bits").values()),
            overhead(),
            generation(),
            evaluation(),
            dropout(),
            encoding(),
            *limits(),
        ]
    )


def there(benchmark: str) -> dict[str, dict[str, Any]]:
    """The files of figures of one benchmark, one for each kind of device: `forward`, `forward-cuda`, ..."""
    stems = sorted(path.stem for path in RESULTS.glob(f"{benchmark}*.json"))
    return {stem: read(stem) for stem in stems if stem.split("-")[0] == benchmark}


def limits() -> list[str]:
    """Nothing where a GPU was measured."""
    if any(RESULTS.glob("*-cuda.json")):
        return []
    return [
        "## What is not measured here\n\n"
        "No GPU was at hand for these figures: every row is a CPU's. Each script but `whole_process.py` takes "
        "`--device`.\n"
    ]


def timeline() -> list[str]:
    """Which thread ran which cell."""
    found = []
    for figures in there("timeline").values():
        overlap, settings = figures["overlap"], figures["settings"]
        body = (
            f"![Which thread ran which cell of the grid, and when]({IMAGES.name}/pipeline.png)\n\n"
            f"Cells of two layers ran at once in {overlap['forward']:.0%} of the forward pass's time and in "
            f"{overlap['backward']:.0%} of the backward pass's.\n"
        )
        note = f"{settings['shape']}, {settings['workers']} workers, a torch.profiler trace of one training step."
        found.append(section("The grid of layers and chunks, running", figures, "timeline.py", body, note))
    return found


def whole_process(figures: dict[str, Any]) -> str:
    """From start to last line."""
    rows = [
        [
            f"`{command}`",
            span(figures["runs"][name]["whole_process_seconds"]),
            f"{figures['runs'][name]['val']['loss']:.4f}",
            f"{figures['runs'][name]['model']['parameters']:,}",
        ]
        for name, command in (
            ("default", "python train.py"),
            ("shakespeare_quick", "python train.py data=tinyshakespeare data.path=FILE experiment=shakespeare_quick"),
        )
    ]
    return section(
        "A whole run, start to last line",
        figures,
        "whole_process.py --shakespeare FILE",
        table(["command", "seconds", "validation loss, nats per character", "parameters"], rows),
        "In a fresh process with an empty cache: imports, encoding, training, validations, samples, checkpoints.",
    )


def wall_time(figures: dict[str, Any]) -> str:
    """Against nanoGPT and the loop that people write."""
    settings, seconds, losses = figures["settings"], figures["seconds"], figures["final"]
    words = {
        "nanoGPT": "nanoGPT, as its README says for a CPU",
        "today": f"`benchmarks/today.py`, Adam at {settings['today_lr']:g}",
        "ours": "`python train.py experiment=shakespeare_quick`",
        "ours, short": f"the same with `{settings['short']}`",
    }
    rows = [[words[name], span(seconds[name]), span(losses[name], 3)] for name in words]
    kind = "-avx2" if "told" in figures["machine"]["instructions"] else ""
    return section(
        "Validation loss against wall time",
        figures,
        "wall_time.py --nanogpt FOLDER --text FILE",
        picture(IMAGES, f"wall_time{kind}", "Validation loss over seconds")
        + table(["whole process", "seconds", "validation loss at its end, nats per character"], rows),
        f"nanoGPT takes {span(figures['nanogpt_over_short'])} times as long as the short run. Its loss is of 20 random "
        "batches, the others' of the whole split; start-up and validations count. The short run's length was chosen so "
        "that it ends below nanoGPT's loss.",
    )


def startup(figures: dict[str, Any]) -> str:
    """How long commands take until they do their work."""
    rows = [
        [f"`{name}`", span(row["before_seconds"], 2), span(row["after_seconds"], 2)]
        for name, row in figures["commands"].items()
    ]
    return section(
        "Start-up",
        figures,
        "startup.py --before FOLDER",
        table(["whole process", "seconds, before", "seconds"], rows),
        "`help`: of `train.py`; `generate`: one token; `first_step`: a run of one step. "
        "[What the time is made of](decisions/0034-startup.md).",
    )


def sixteen_bits(figures: dict[str, Any]) -> str:
    """What bfloat16 costs or brings."""
    rows = [
        [
            name,
            result["computed_in"],
            f"{result['ms']['float32']['median']:.1f}",
            span(result["times_as_long"]["bfloat16"], 2),
            span(result["times_as_long"]["bf16-mixed"], 2),
        ]
        for name, result in figures["cells"].items()
    ]
    product = span(figures["products"]["times_as_long"]["bfloat16"], 2)
    head = ["cell", "`forward=fused` computes in", "float32, ms", "bfloat16 by PyTorch", "bf16-mixed here"]
    return section(
        "bfloat16 against float32",
        figures,
        "sixteen_bits.py",
        table(head, rows),
        f"{figures['settings']['shape']}, forwards and backwards; the last two columns: how many times as long. "
        f"One product of the output projection takes {product} times as long. "
        "[What is done where there is no kernel](decisions/0026-tried-not-assumed.md).",
    )


def overhead() -> str:
    """The application against a bare loop."""
    figures = read("overhead")
    rows = [
        [
            shape,
            f"{result['step_ms']['bare']['median']:.2f}",
            f"{result['step_ms']['application']['median']:.2f}",
            span(result["application_speed_of_bare"], 2),
        ]
        for shape, result in figures["shapes"].items()
    ]
    return section(
        "Training inside the application against a bare PyTorch loop",
        figures,
        "overhead.py",
        table(["shape", "bare, ms a step", "application, ms a step", "speed of the bare loop's"], rows),
        "Same model, windows, precision, optimizer, schedule, clipping, allocator. Means, so steps that log count in "
        "full; validation and samples left out. The shorter the step, the more the loop around it weighs.",
    )


def generation() -> str:
    """One text, a token at a time."""
    figures = read("generation")
    rows = [[name, span(speeds, 0)] for name, speeds in figures["tokens_per_second"].items()]
    ratios = [[name, span(ratio, 2)] for name, ratio in figures["ratios"].items()]
    return section(
        "Writing one text, 2 layers of 256, one CPU core",
        figures,
        "generation.py",
        table(["loop", "tokens a second"], rows) + "\n" + table(["ratio", ""], ratios),
        "The application is faster than the bare step loop because it asks the vendor for one cell step instead of a "
        "sequence of length one ([why](decisions/0007-single-steps.md)).",
    )


def evaluation() -> str:
    """Several streams against the exact one."""
    figures = read("evaluation")
    settings = figures["settings"]
    own = settings["of_the_run"]
    rows = [
        [
            str(row["eval_batch_size"]),
            "-" if row["eval_batch_size"] == 1 else str(row["eval_context"]),
            f"{row['loss']:.5f}",
            f"{row['difference']:+.6f}",
            f"{row['seconds']['median']:.2f}",
            span(row["times_faster"]),
        ]
        for row in figures["layouts"]
    ]
    return section(
        "Scoring a validation split in several streams",
        figures,
        "evaluation.py RUN",
        table(["`eval_batch_size`", "`eval_context`", "loss, nats", "difference", "seconds", "times faster"], rows),
        "RUN is made by `python train.py data=tinyshakespeare experiment=shakespeare_quick hydra.run.dir=RUN`. "
        f"{settings['validation_tokens']:,} tokens of {settings['data']} ({settings['tokenizer']}), windows of "
        f"{settings['seq_len']}. One stream is exact; the run's own settings were eval_batch_size="
        f"{own['eval_batch_size']} and eval_context={own['eval_context']} "
        "([why there is a warm-up](decisions/0003-evaluation-streams.md)).",
    )


def dropout() -> str:
    """Masks."""
    figures = read("dropout")
    rows = [
        [
            shape,
            f"{result['ms']['MaskSource']['median']:.2f}",
            f"{result['ms']['bernoulli_']['median']:.2f}",
            span(result["ratio"], 1),
        ]
        for shape, result in figures["shapes"].items()
    ]
    return section(
        "Drawing a dropout mask",
        figures,
        "dropout.py",
        table(["shape", "the project's, ms", "torch's `bernoulli_`, ms", "times faster"], rows),
        "[Why masks are the project's own](decisions/0001-dropout-masks.md).",
    )


def encoding() -> str:
    """A text of a gibibyte; measured where memory is: see docs/reliability.md."""
    files = {name: read(f"reliability/encoding_{name}") for name in ("char", "byte", "bpe")}
    rows = [
        [
            name,
            f"{figures['mebibytes']:,}",
            f"{figures['mebibytes'] / figures['seconds']:.1f}",
            f"{figures['tokens'] / figures['seconds'] / 1e6:.1f}",
        ]
        for name, figures in files.items()
    ]
    figures = next(iter(files.values()))
    machine, versions = figures["machine"], figures["versions"]
    return (
        "## Encoding a text\n\n"
        f"`pytest -m slow -n 0 tests/reliability/test_large_text.py`; {machine['cpu']}, {machine['cores']} cores; "
        f"Python {versions['python']}, torch {versions['torch']}; {figures['date']}.\n\n"
        + table(["tokenizer", "MiB of text", "MiB a second", "million tokens a second"], rows)
        + "\nReading, decoding, fitting the tokenizer, encoding, digests and cache, once each. The words are of "
        "a made-up language, some of their letters of two and three bytes. What memory that takes: "
        "[reliability](reliability.md).\n"
    )


def read(name: str) -> dict[str, Any]:
    """One benchmark's figures."""
    figures: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return figures


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
