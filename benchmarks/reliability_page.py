"""`docs/reliability.md`, made from what the slow tests have counted, so that page and figures cannot differ.

pytest -m slow -n 0 --keep-figures && python benchmarks/reliability_page.py
"""

import json
from pathlib import Path
from typing import Any

from page_parts import table

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"

Figures = dict[str, Any]

INTRODUCTION = """# Reliability

Whatever happens to a run, no training is lost beyond the last checkpoint interval, nothing wrong is silently
continued, and nothing that is loaded can run code. This page says how often that was tried, and what came of it. Why it
is done so: [decision 24](decisions/0024-nothing-lost.md); what is trusted: [SECURITY.md](../SECURITY.md).

The figures are kept in `benchmarks/results/reliability/` by `pytest -m slow -n 0 --keep-figures`, run in parts; each
table names the part that makes its rows again, and the commit that it was run on. Figures of de15921 and of earlier
days are from before runs were rebuilt around one writer ([decision 31](decisions/0031-one-run-one-owner.md)).
`python benchmarks/reliability_page.py` makes this page from them. The default tests try the same on every change, at
small size.
"""

MODELS = {
    "lstm": "LSTM, every dropout there is",
    "fused": "LSTM on the vendor's kernel",
    "transformer": "Transformer",
}
PLACES = ("between forward and backward", "in a checkpoint write", "in a validation", "at start-up")

INPUTS = {
    "checkpoints": (
        "checkpoints with bytes flipped, overwritten, cut off, cut out, doubled, appended",
        {"refused": "refused, in a line or two", "identical": "loaded identically"},
    ),
    "configurations": (
        "configurations, any value in any field",
        {"refused": "refused, naming the key", "taken": "taken"},
    ),
    "trained_configurations": (
        "the same, plausible values, trained for two steps where they are taken",
        {
            "trained": "trained",
            "refused": "refused before",
            "refused_later": "refused by the part that they concern",
        },
    ),
    "prompts": (
        "prompts: empty, long, control characters, lone surrogates, right-to-left, random",
        {"continued": "continued", "refused": "refused, naming what is unknown"},
    ),
    "tokenizers": (
        "descriptions of tokenizers with something replaced, left out, doubled",
        {"taken": "taken, and can encode and decode", "refused": "refused"},
    ),
    "manifests": ("manifests, in the same way, with a digest that fits", {"read": "read", "made_anew": "made anew"}),
    "caches": (
        "token caches with a bit flipped, cut off, extended",
        {"noticed": "noticed: made anew, the same losses"},
    ),
}

ELSEWHERE = {
    "resume within an epoch, at its end, under accumulation; another model, text or split refused by name": (
        "training/test_resume.py",
    ),
    "every setting that decides which windows are seen, and every precision, killed and resumed to the bit": (
        "training/test_resume_settings.py",
    ),
    "any settings, killed and resumed: losses, norms, weights and every figure are those of one plain loop": (
        "reliability/test_against_a_plain_loop.py",
    ),
    "every token of an optimizer step weighs the same, however it is cut into windows, lines and processes": (
        "training/test_step_loss.py",
    ),
    "every figure is of the tokens that were scored; the best is one among validations of the same tokens": (
        "training/test_validation.py",
    ),
    "each argument of Lightning's Trainer has its effect, or is refused": ("training/test_trainer_arguments.py",),
    "a damaged newest checkpoint is named, set aside, and the one before it continued": ("training/test_resume.py",),
    "a run that is refused, or killed while it starts, changes no file; rows and events are on the disk before the "
    "checkpoint that covers them": ("runs/test_writer.py",),
    "killed at a file operation, and once more while resuming; the clock set back: every row and point once": (
        "reliability/test_kills_at_files.py",
    ),
    "a checkpoint is opened once to resume; a finished run that is typed again changes no byte": (
        "reliability/test_faults.py",
    ),
    "two commands in one directory, through links or with another TMPDIR: one trains, the other changes nothing": (
        "runs/test_run_lock.py",
        "reliability/test_faults.py",
    ),
    "a full disk: warned, gone on, the earlier checkpoint whole": ("training/test_full_disk.py",),
    "SIGTERM and Ctrl-C save and end the run; a second Ctrl-C ends it at once": ("training/test_signals.py",),
    "a signal at a step whose checkpoint is due leaves two different checkpoints": ("reliability/test_faults.py",),
    "SLURM's warning signal queues the job again": ("training/test_requeue.py",),
    "loss or gradient not finite: stop, skip, rewind; a jump of the loss is told": ("training/test_nonfinite.py",),
    "out of memory: the batch that fits": ("training/runtime/test_memory.py",),
    "a model larger than the memory: refused before any is taken": ("training/runtime/test_memory.py",),
    "several processes: single-process losses within 1e-5, resume; a killed or hanging one ends the others": (
        "training/processes/test_launch.py",
        "training/processes/test_ends.py",
    ),
    "torchrun and SLURM's srun start the processes; one is killed; signals to all; restarts": (
        "training/processes/test_torchrun_and_slurm.py",
    ),
    "one of those never comes, or cannot be reached": ("training/processes/test_join.py",),
    "the same run twice, to the bit, and the losses of fifty steps": ("training/test_deterministic.py",),
    "standard output closed, gone, on a full disk, or without the letters: trained to the end": (
        "test_display.py",
        "reliability/test_output.py",
    ),
    "a sweep that continues, with a failed, killed or interrupted job": ("cli/test_sweep.py",),
    "jobs in other processes, refused, killed, pre-empted": ("cli/test_launchers.py",),
    "a study or sweep that is killed leaves no row, job or worker at work": (
        "test_lifeline.py",
        "cli/test_launchers.py",
    ),
    "a row, or a run, that another process trains is left alone": (
        "sweeps/test_live_rows.py",
        "reliability/test_faults.py",
    ),
    "no module that a configuration names is imported": (
        "cli/hydra/test_allowed_targets.py",
        "cli/hydra/test_hydra_guard.py",
    ),
    "a checkpoint with a real payload is refused": ("reliability/test_fuzzed_checkpoints.py",),
    "a checkpoint with a right digest and any field of it replaced: refused in a line before the first step, or used": (
        "reliability/test_forged_checkpoints.py",
    ),
    "archives and pickles that stand for more than their file has": ("runs/test_untrusted.py",),
    "pipes, devices, endless or expanding files in a run directory": ("runs/test_hostile_runs.py",),
    "foreign text gives a terminal no orders": ("test_terminal.py",),
    "nothing is written over unasked": ("runs/test_outputs.py",),
    "a text that changes while it is read is refused; one of the same size and time is another one": (
        "data/test_token_store.py",
    ),
    "no text trains that validates or tests, whatever it is called": ("data/test_held_out.py",),
    "what killed processes left half-written goes, what living ones write stays": (
        "test_unfinished.py",
        "data/test_makers.py",
    ),
}
"""What else is tried, and where below tests/."""


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, kills(), inputs(), large_text(), elsewhere()])


def kills() -> str:
    """A table with a column a model."""
    of = {name: read(f"kills_{name}") for name in MODELS}
    rows: list[list[str]] = [
        ["SIGKILLs sent", *(str(figures["sent"]) for figures in of.values())],
        *([place, *(str(figures["places"].get(place, 0)) for figures in of.values())] for place in PLACES),
        [
            "half-written files found, and none of them read",
            *(str(figures["partial_files"]) for figures in of.values()),
        ],
        ["processes that resumed from a checkpoint", *(str(len(figures["resumed_from"])) for figures in of.values())],
        ["earliest step that one resumed from", *(str(min(figures["resumed_from"])) for figures in of.values())],
        ["rows of metrics.csv compared", *(str(figures["rows"]) for figures in of.values())],
        ["rows that differ", *(str(figures["differing_rows"]) for figures in of.values())],
        ["points of TensorBoard compared", *(str(figures["points"]) for figures in of.values())],
        ["points that differ, or are there twice", *(str(figures["differing_points"]) for figures in of.values())],
        ["largest difference of a weight", *(repr(figures["largest_weight_difference"]) for figures in of.values())],
    ]
    note = (
        "A run of 150 steps with a checkpoint every 4, killed at random steps of its own (read from the run, not from "
        "a clock), and resumed each time; beside it one that nobody disturbs. Columns that tell of the machine "
        "(seconds, throughput) are left out of the comparison, everything else must be equal to the last bit."
    )
    return f"## Killed and resumed\n\n{source(of['lstm'])}\n\n{table(['', *MODELS.values()], rows)}\n{note}\n"


def inputs() -> str:
    """A row for each kind."""
    rows = []
    for name, (what, outcomes) in INPUTS.items():
        figures = read(name)
        counts = {key: figures.get(key, 0) for key in outcomes}
        told = ", ".join(f"{counts[key]:,} {words}" for key, words in outcomes.items())
        rows.append([what, f"{sum(counts.values()):,}", told, f"`{figures['settings']['command']}`"])
    head = ["input", "tried", "handled", "command"]
    note = (
        "A traceback, a message of more than four lines, or another model, text or loss than the right one fails the "
        "test: so none of these inputs ended in one. Inputs are hypothesis' (derandomized, so the same each time); "
        "a coverage-guided fuzzer of native code would find nothing of this project's own to guide it, as all parsing "
        "of untrusted bytes is done by json, csv, pydantic and torch's unpickler behind a digest."
    )
    return f"## Bad input\n\n{source(read('checkpoints'))}\n\n{table(head, rows)}\n{note}\n"


def large_text() -> str:
    """Memory; the speed is a benchmark's."""
    rows = []
    for name in ("char", "byte", "bpe"):
        figures = read(f"encoding_{name}")
        rows.append([name, f"{figures['mebibytes']:,}", f"{figures['more_bytes'] / 1e6:.0f}", f"{figures['tokens']:,}"])
    trained = read("large_text")
    small, large = trained["seconds_to_first_step"].values()
    note = (
        f"Training on it ({trained['steps']:,} steps, `tokenizer=byte`): anonymous memory at each tenth of the run is "
        f"at most {trained['growth']:.2%} more than at the first one, {trained['anonymous_bytes'][0] / 1e6:.0f} MB. "
        "A checkpoint is written every 20 steps, so that what the first one takes, once, is there by then: with the "
        "first after 1,000 steps that one rise would count as growth, and exceed 1 %. "
        f"From its start to its first step a run from the cache takes {large:.1f} s, with a text of 1 MiB "
        f"{small:.1f} s: the difference is that all its tokens are checked against damage. That was before every start "
        "hashed its text, too ([decision 27](decisions/0027-the-text-is-hashed.md)). "
        "How fast texts are encoded: [benchmarks](benchmarks.md)."
    )
    head = ["tokenizer", "MiB of text", "MB of anonymous memory beyond the imports", "tokens"]
    return f"## Large text\n\n{source(trained)}\n\n{table(head, rows)}\n{note}\n"


def elsewhere() -> str:
    """What has no figures."""
    rows = [[what, ", ".join(f"`tests/{file}`" for file in files)] for what, files in ELSEWHERE.items()]
    return f"## What else is tried on every change\n\n{table(['promise', 'test'], rows)}"


def source(figures: Figures) -> str:
    """Where figures are from."""
    machine, versions = figures["machine"], figures["versions"]
    command = figures["settings"]["command"].split(" -k ")[0]
    return (
        f"`{command}`; {machine['cpu']}, {machine['cores']} cores; Python {versions['python']}, "
        f"torch {versions['torch']}; {figures['date']}, commit {figures['git_commit'][:7]}."
    )


def read(name: str) -> Figures:
    """One test's figures."""
    figures: Figures = json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
    return figures


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
