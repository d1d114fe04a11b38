"""What `VERB --help` says: its groups and options are names of files in `conf/`, so nothing is composed for it."""

import textwrap
from collections.abc import Sequence

from lstm_lm import plugins
from lstm_lm.cli.hydra.conf import WIDTH, option_table, own_keys

_TRAIN = """\
usage: {program} [GROUP=OPTION ...] [KEY=VALUE ...] [-m]

  {program}
  {program} data=text data.path=my_novel.txt budget=10m
  {program} -m model=lstm,gru model.hidden_size=64,128

Train a language model on text: the Python language reference, or your own.
-m runs all combinations of values between commas.

"""

_GENERATE = """\
usage: {program} [KEY=VALUE ...] [GROUP=OPTION ...]

  {program} prompt="To be, or not" temperature=0.8
  {program} run=outputs/novel num_samples=4 top_p=0.9
  {program} interactive=true

Write text with a trained model: of the newest run below outputs/, or run=DIR,
or ckpt_path=FILE. The text goes to standard output, all else to standard error.

"""

_EVALUATE = """\
usage: {program} [KEY=VALUE ...] [GROUP=OPTION ...]

  {program}
  {program} run=outputs/novel method=context
  {program} data=text data.path=other.txt

Score a trained model: of the newest run below outputs/, or run=DIR, or
ckpt_path=FILE, on the text that it was trained with, or on another one, which
is scored whole (data=text data.path=FILE). Results go into the run's
evaluation.json, with a picture.

"""

_RUNS = """\
usage: {program} [KEY=VALUE ...]

  {program} sort=loss limit=10
  {program} folder=sweeps format=csv
  {program} plot=curves.png match=hidden_size over=seconds

List the runs below outputs/, finished and running, as a table, CSV or JSON; or
say how their configurations differ; or draw their curves.

"""

_EMBED = """\
usage: {program} data.path=TEXT out=FILE.npy [KEY=VALUE ...]

  {program} data.path=lines.txt out=vectors.npy
  {program} data.path=rows.jsonl data.column=text out=rows.npy
  {program} data.path=lines.txt out=b.npy projector=true

Write a vector of each line of a text, of each window, or of each row of tables,
with a trained model: of the newest run below outputs/, or run=DIR, or
ckpt_path=FILE.

"""

_SCORE = """\
usage: {program} data.path=TEXT [KEY=VALUE ...] [GROUP=OPTION ...]

  {program} data.path=server.log sort=surprise top=20
  {program} data.path=- out=scores.csv < lines.txt
  {program} data.path=novel.txt unit=text html=novel.html

Say how likely a text is, line by line, token by token, or as a whole, with a
trained model: of the newest run below outputs/, or run=DIR, or ckpt_path=FILE.
A terminal gets a table, a pipe gets CSV, and out=FILE gets all rows.

"""

_EXPORT = """\
usage: {program} [format=FORMAT] [out=PATH] [KEY=VALUE ...]

  {program} format=html
  {program} run=outputs/novel format=onnx out=my_model
  {program} format=onnx quantize=int8

Write a trained model into files that other programs read, or into a page that
writes in a browser (format=html): of the newest run below outputs/, or run=DIR,
or ckpt_path=FILE. What computes something else than the model is not kept.

"""

_SERVE = """\
usage: {program} [port=PORT] [KEY=VALUE ...] [GROUP=OPTION ...]

  {program}
  {program} run=outputs/novel port=8080
  {program} host=0.0.0.0 max_texts=256 max_seconds=30.0

Answer over HTTP with a trained model, of the newest run below outputs/, or
run=DIR, or ckpt_path=FILE: a page in the browser, POST /v1/completions as the
OpenAI API has it (also /generate), POST /score, GET /health. Ctrl-C ends it.

"""

_OFTEN = (
    "data.path, data.batch_size, data.seq_len, model.hidden_size, model.num_layers, model.dropout, optimizer.lr, "
    "trainer.max_epochs, trainer.max_steps, budget, seed, hydra.run.dir, resume, init_from"
)
"""Of hundreds, those that most people set."""
_ANOTHER_TEXT = ("data.path", "data.encoding", "data.column", "data.unknown")
"""For evaluate: keys of a group that are set for a text which is not the run's own."""
_KEYS = "All keys and their values: {program} --cfg job\n"

_TEXTS = {
    "train": _TRAIN,
    "generate": _GENERATE,
    "evaluate": _EVALUATE,
    "score": _SCORE,
    "runs": _RUNS,
    "embed": _EMBED,
    "export": _EXPORT,
    "serve": _SERVE,
}


def help_of(verb: str, program: Sequence[str]) -> str:
    """How to use a verb; `program` is what is typed before its arguments, for the examples."""
    typed, table = " ".join(program), option_table(verb)
    own = [*own_keys(verb), *(_ANOTHER_TEXT if verb == "evaluate" else ())]
    keys = f"Keys, among others: {_OFTEN}" if verb == "train" else f"Keys: {', '.join(own)}"
    parts = [
        _TEXTS[verb].format(program=typed),
        f"Groups and their options ([...]: taken unless you say otherwise):\n{table}\n\n" if table else "",
        "\n".join(textwrap.wrap(keys, WIDTH, subsequent_indent="  ", break_on_hyphens=False)) + "\n",
        _KEYS.format(program=typed),
        *(f"{problem}\n" for problem in plugins.found().problems),
    ]
    return "".join(parts)
