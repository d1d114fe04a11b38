"""The part of docs/benchmarks.md that is about ways to run a stack of layers."""

from kinds import kind_of, there
from page_parts import RESULTS, Figures, read, section, span, table

DEEP_FEW = "pipelined, L >= 8 and B <= 8"
"""What `forward.py` calls these shapes."""


def forward() -> str:
    """Strategies by the number of layers."""
    shares = " and ".join(
        f"{100 * figures['grid']['auto']['share_right']:.0f} % of {figures['grid']['auto']['cells']} "
        f"({kind_of(figures)})"
        for figures in there(RESULTS, "forward").values()
    )
    here = {"layers": 8, "hidden": 128, "batch": 4, "steps": 128, "kind": "float32", "mode": "inference"}
    later = [cell for cell in read("forward")["grid"]["cells"] if all(cell[key] == here[key] for key in here)]
    sooner = [row for row in deep_rows() if (row["shape"], row["mode"]) == ("L=8 H=128 B=4 T=128", "inference")]
    moves = ""
    if later and sooner:
        first, then = sooner[0]["ms"], later[0]["ms"]
        moves = (
            " On a shared machine `nn.LSTM` has two speeds: its threads meet at every time step and wait for the "
            "one that "
            f"is held up, so one shape took {first['nn.LSTM']:.1f} ms and, minutes later, {then['nn.LSTM']:.1f} ms, "
            "where "
            f"`pipelined`, whose threads meet once a chunk, took {first['pipelined']:.1f} and "
            f"{then['pipelined']:.1f} ms. "
            "Where a shaded band falls, that is most likely such a round."
        )
    return section(
        "Which `forward=` is fastest?",
        "Mostly `fused`, the vendor's kernel; from eight narrow layers on often `pipelined`, of which the next "
        "answer is. The "
        "two others are for cells that no vendor has. `auto`, the default, chooses: it is within 5 % of the best in "
        f"{shares} measured shapes.{moves}",
        "forward",
        "Times as fast as nn.LSTM over the number of layers, training in float32, batch 16",
        "forward",
        "forward.csv",
    )


def deep_rows() -> list[Figures]:
    """`pipelined` at deep shapes with few streams, in float32."""
    rows = read("forward").get("figures", {"figures": []})["figures"]
    return [row for row in rows if row["what"] == DEEP_FEW and row["kind"] == "float32"]


def side_by_side() -> str:
    """`pipelined` at deep shapes."""
    overlap = read("timeline")["overlap"]
    return section(
        "When are layers side by side worth it?",
        "With many narrow layers and few streams. Two layers ran at once "
        f"in {overlap['forward']:.0%} of the forward pass and {overlap['backward']:.0%} of the backward pass "
        "([which thread ran what, when](images/pipeline.png)); what two cores could give and do not is calls, one a "
        "chunk, "
        "and caches ([more](decisions/0014-forward-strategies.md)).",
        "pipelined",
        "forward=pipelined, times as fast as nn.LSTM on all cores: layers x units and batch, float32",
        "forward",
        "forward_pairs.csv",
    )


def cell_rows() -> list[Figures]:
    """Cells that no vendor computes; those that stay on its kernel are none."""
    rows = read("forward").get("custom_cells", {"rows": []})["rows"]
    return [row for row in rows if row["variant"] != "plain" and "fused" not in row["times_the_vendors"]]


def cells() -> str:
    """Cells that no vendor computes."""
    ways = list(dict.fromkeys(way for row in cell_rows() for way in row["times_the_vendors"]))
    rows = [
        [row["variant"], *(span(times[way]) if way in times else "-" for way in ways)]
        for row in cell_rows()
        for times in [row["times_the_vendors"]]
    ]
    return section(
        "What a cell costs that no vendor computes",
        "Times as long as the plain cell on the vendor's kernel, in training, whole models of two layers of 256; "
        "the wide "
        "ranges are, most likely, rounds in which something else took a core. `weight_drop` and `locked_dropout` "
        "stay on the "
        "kernel.",
        command="forward",
        name="forward_cells.csv",
        after=table(["cell", *map("`forward={}`".format, ways)], rows).replace(", compile=", " compile="),
    )


def busy() -> str:
    """Both cores, while something else wants them."""
    rows = [row["speed_of_one_core"] for row in read("forward")["scaling"]["rows"]]
    ranges = []
    for name in ("nn.LSTM, 2", "pipelined, 2"):
        medians = [row[name]["median"] for row in rows]
        ranges.append(f"{min(medians):.2f} to {max(medians):.2f}")
    return (
        f"in rounds in which, most likely, something else took a core, `nn.LSTM` on both had {ranges[0]} of its "
        "speed on "
        f"one, `pipelined` {ranges[1]} ([all](../benchmarks/results/forward_threads.csv)): `runtime.threads=1` is the "
        "thing to type there ([more](decisions/0023-busy-cores.md))."
    )
