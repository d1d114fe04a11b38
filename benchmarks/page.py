"""`docs/benchmarks.md` and its tables, made from the figures in `benchmarks/results/`, so that they cannot differ.

python benchmarks/page.py
"""

from forward_page import busy, cell_rows, cells, deep_rows, forward, side_by_side
from kinds import AVX2, kind_of, there
from page_parts import RESULTS, ROOT, read, section, span, table
from tables import tables

PAGE = ROOT / "docs" / "benchmarks.md"
LARGE, DEFAULT = "L=2 H=256 B=64 T=100", "default: L=2 H=160 B=32 T=32"
SMALL = "small: L=1 H=128 B=16 T=32"
TODAY = "torch.nn.LSTM and Adam in float32, with PyTorch's defaults"

INTRODUCTION = """# Benchmarks

**What you gain.** Measured on 2 cores of an {cpu}: as it is, with products of bfloat16, and {avx2}
(`ONEDNN_MAX_CPU_ISA=AVX2`), like most laptops. Figures are medians, with the lowest and highest round in brackets.

- `python train.py` trains {large} times as fast as the loop that people write, and {large_avx2} times with AVX2.
- In {short} s it is below the loss that nanoGPT's settings for a CPU reach in {nanogpt} s, with AVX2.
- It writes {writing} times as many characters a second as `nn.LSTM` called step by step.
- A stack of 16 narrow layers runs up to {deep} times as fast as `nn.LSTM`, its layers side by side.

**Where it loses.**

- Small models: one layer of 128 trains at {small} of the loop's speed, the default at {default_avx2} with AVX2.
- `compile=default`: slower than without it at all {compiled} sizes, by {compile_least} to {compile_most} %.
- `forward=pipelined` with one layer takes {one_layer} times as long as `nn.LSTM`, `wavefront` and `stepwise` longer in
  {loops} cases.
- A cell that no vendor computes takes {cell_least} to {cell_most} times as long.
- `forward=auto` is within 5 % of the best in {right} % of shapes that its rule was not made on; `tune=speed` measures.
{limits}
Made by `python benchmarks/page.py` and `python benchmarks/plots.py` from the [kept figures](../benchmarks/results),
which name machine, versions, date and commit (as it was then). Contenders took turns, since times on a shared machine
move. The run in the README is `python train.py data=tinyshakespeare experiment=shakespeare_quick hydra.run.dir=RUN`,
its text `python generate.py run=RUN prompt="ROMEO:" temperature=0.6 seed=2`, a little different with other versions or
processors.
Optimizers have [a page of their own](optimizers.md), `budget=` [another](budget.md).
"""


def page() -> str:
    """The whole page."""
    sections = (training, wall_time, whole, forward, side_by_side, sixteen_bits, cells, rest)
    return "\n".join([introduction(), *(make() for make in sections)])


def introduction() -> str:
    """What is fast, and where we lose."""
    seconds = read("wall_time-avx2")["seconds"]
    slower = [
        speeds["application"]["median"] / speeds["application, compile"]["median"] - 1
        for speeds in (result["speed_of_today"] for result in read("training")["shapes"].values())
        if {"application", "application, compile"} <= speeds.keys()
    ]
    ratios = [times["median"] for row in cell_rows() for times in row["times_the_vendors"].values()]
    grid = [cell for figures in there(RESULTS, "forward").values() for cell in figures["grid"]["cells"]]
    speeds = [cell["speed_of_vendor"] for cell in grid]
    loops = [speed[name]["median"] < 1 for speed in speeds for name in ("wavefront", "stepwise") if name in speed]
    one_layer = [1 / cell["speed_of_vendor"]["pipelined"]["median"] for cell in grid if cell["layers"] == 1]
    deepest = max(deep_rows(), key=lambda row: float(row["measured"]["median"]))
    return INTRODUCTION.format(
        cpu=read("training")["machine"]["cpu"],
        avx2=AVX2,
        large=trained(LARGE),
        large_avx2=trained(LARGE, "-avx2"),
        short=f"{seconds['ours, short']['median']:.0f}",
        nanogpt=f"{seconds['nanoGPT']['median']:.0f}",
        writing=span(read("generation")["ratios"]["application / bare"]),
        deep=span(deepest["measured"]),
        small=trained(SMALL, digits=2),
        default_avx2=trained(DEFAULT, "-avx2", 2),
        compiled=len(slower),
        compile_least=f"{100 * min(slower):.0f}",
        compile_most=f"{100 * max(slower):.0f}",
        loops=f"{sum(loops)} of {len(loops)}",
        one_layer=f"{min(one_layer):.1f} to {max(one_layer):.1f}",
        cell_least=f"{min(ratios):.1f}",
        cell_most=f"{max(ratios):.1f}",
        right=f"{100 * read('forward')['held_out']['auto']['share_right']:.0f}",
        limits="" if any(RESULTS.glob("*-cuda.json")) else "- A GPU: none was at hand, every figure is a CPU's.\n",
    )


def trained(shape: str, kind: str = "", digits: int = 1, contender: str = "application") -> str:
    """How many times as fast as the loop that people write; `-` where that was not measured."""
    speeds = read(f"training{kind}")["shapes"].get(shape, {"speed_of_today": {}})["speed_of_today"]
    return span(speeds[contender], digits) if contender in speeds else "-"


def training() -> str:
    """A whole step against the loop that people write."""
    return section(
        "How much faster is training?",
        f"With two layers of 256, `python train.py` takes {trained(LARGE)} times as many steps in the same time as "
        "a loop "
        f"with {TODAY}, and {trained(LARGE, '-avx2')} times as many with AVX2. The step by itself, without "
        f"Lightning and logging, is {trained(LARGE, contender='ours')} and {trained(LARGE, '-avx2', contender='ours')} "
        f"times as fast, and in float32 {trained(LARGE, contender='ours, float32')} and "
        f"{trained(LARGE, '-avx2', contender='ours, float32')} times: bfloat16 does the rest. The smaller the "
        "model, the less "
        "there is to gain.",
        "training",
        "Times as fast as a loop with nn.LSTM: layers x units and batch",
        "training",
        "training.csv",
    )


def wall_time() -> str:
    """Against nanoGPT and the loop."""
    figures = read("wall_time-avx2")
    seconds, losses = figures["seconds"], figures["final"]
    words = {
        "nanoGPT": "nanoGPT, as its README says for a CPU",
        "today": f"`benchmarks/today.py`, Adam at {figures['settings']['today_lr']:g}",
        "ours": "`python train.py experiment=shakespeare_quick`",
        "ours, short": f"the same with `{figures['settings']['short']}`",
    }
    rows = [[words[name], span(seconds[name]), span(losses[name], 3)] for name in words]
    return section(
        "How good is a model after a minute?",
        "On tiny Shakespeare, with AVX2, one run each. nanoGPT's loss is of 20 random batches, the others' of the "
        "whole "
        "split; start-up and validations count. The short run's length was chosen so that it ends below nanoGPT's "
        "loss.",
        "wall_time-avx2",
        "Validation loss over seconds",
        "wall_time --nanogpt FOLDER --text FILE",
        after=table(["whole process", "seconds", "validation loss, nats per character"], rows),
    )


def whole() -> str:
    """From the command to its last line."""
    runs, starts = there(RESULTS, "whole_process"), there(RESULTS, "startup")
    kinds = [kind for kind in runs if kind in starts]
    start = {
        "help": "`python train.py --help`",
        "generate": "`python generate.py`, to its first token",
        "first_step": "`python train.py`, one step and its end",
    }
    rows = [
        [name, *(span(starts[kind]["commands"][key]["after_seconds"]) for kind in kinds)] for key, name in start.items()
    ]
    run = {
        "default": "`python train.py`",
        "shakespeare_quick": "`... data=tinyshakespeare experiment=shakespeare_quick`",
    }
    for key, name in run.items():
        found = [runs[kind]["runs"][key] for kind in kinds]
        said = [f"{span(one['whole_process_seconds'])}, {one['val']['loss']:.2f} nats" for one in found]
        rows.append([f"{name}, {found[0]['model']['parameters']:,} parameters", *said])
    return section(
        "How long does a command take?",
        "Seconds of the whole process, with imports, and for the runs with an empty cache, encoding, validations, "
        "samples "
        "and checkpoints. The first three rows are of `benchmarks/startup.py` "
        "([what start-up is made of](decisions/0034-startup.md)).",
        command="whole_process --shakespeare FILE",
        after=table(["seconds", *(kind_of(runs[kind]) for kind in kinds)], rows),
    )


def sixteen_bits() -> str:
    """What bfloat16 costs or brings."""
    files = there(RESULTS, "sixteen_bits")
    rows = [
        [name, kind_of(figures), result["computed_in"], *(span(result["times_as_long"][key], 2) for key in KEYS)]
        for figures in files.values()
        for name, result in figures["cells"].items()
    ]
    head = ["cell", "processor", "`bf16-mixed` computes in", "bfloat16 by PyTorch", "`bf16-mixed` here"]
    return section(
        "What do 16 bits bring?",
        "About a third less time, where the processor multiplies bfloat16. Where it does not, PyTorch's bfloat16 "
        "takes many "
        "times as long as float32; `precision=bf16-mixed` computes such layers in float32, and costs nothing "
        "([why](decisions/0026-tried-not-assumed.md)). Times as long as float32, forwards and backwards:",
        command="sixteen_bits",
        after=table(head, rows),
    )


KEYS = ("bfloat16", "bf16-mixed")


def rest() -> str:
    """Smaller answers."""
    writing, overhead = read("generation")["tokens_per_second"], read("overhead")["shapes"]
    layouts = {(row["eval_batch_size"], row["eval_context"]): row for row in read("evaluation")["layouts"]}
    many = layouts[16, 256]
    masks = [result["ratio"]["median"] for result in read("dropout")["shapes"].values()]
    encoding = {name: read(f"reliability/encoding_{name}") for name in ("char", "byte", "bpe")}
    speeds = ", ".join(f"{one['mebibytes'] / one['seconds']:.0f} ({name})" for name, one in encoding.items())
    shares = " and ".join(f"{100 * one['application_speed_of_bare']['median']:.0f} %" for one in overhead.values())
    lines = [
        f"**Writing**, one core, 2 layers of 256: {span(writing['lstm_lm stream_text'], 0)} characters a second; a "
        "plain "
        f"loop of `nn.LSTM` steps {span(writing['bare nn.LSTM step'], 0)} ([why](decisions/0007-single-steps.md); "
        "`benchmarks/generation.py`).",
        f"**Scoring a split** in 16 streams: {span(many['times_faster'])} times as fast as in one, its loss "
        f"{abs(many['difference']):.6f} nats off ([all](../benchmarks/results/evaluation.csv); "
        "`benchmarks/evaluation.py RUN`).",
        f"**Drawing a dropout mask**: {min(masks):.0f} times as fast as `bernoulli_` "
        "([why](decisions/0001-dropout-masks.md); "
        "`benchmarks/dropout.py`).",
        f"**Encoding** a text of a gibibyte: MiB a second {speeds}, on an {encoding['char']['machine']['cpu']} "
        "([more](reliability.md)).",
        f"**Lightning and logging**: {shares} of a bare loop's speed (default; 1 x 128, batch 16) "
        "(`benchmarks/overhead.py`).",
        f"**A busy machine**: {busy()}",
    ]
    return "## And the rest?\n\n" + "\n".join(f"- {line}" for line in lines) + "\n"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    for name, text in tables(RESULTS).items():
        (RESULTS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
