"""What `VERB --help` says: its groups and options are names of files in `conf/`, so nothing is composed for it."""

from collections.abc import Sequence

from lstm_lm import plugins
from lstm_lm.cli.hydra.conf import option_table

_TRAIN = """\
usage: {program} [GROUP=OPTION ...] [KEY=VALUE ...] [-m]

Train a language model on text: the Python language reference, or your own.

  {program}
  {program} data=text data.path=my_novel.txt budget=10m
  {program} -m model.hidden_size=64,128 precision=32-true,bf16-mixed

-m runs all combinations of values between commas.

{options}"""

_GENERATE = """\
usage: {program} [KEY=VALUE ...] [GROUP=OPTION ...]

Write text with a trained model: of the newest run below outputs/, or run=DIR,
or ckpt_path=FILE. The text goes to standard output, all else to standard error.

  {program} prompt="To be, or not to be" temperature=0.8
  {program} run=outputs/novel num_samples=4 max_new_tokens=1000 top_p=0.9
  {program} interactive=true

{options}"""

_EVALUATE = """\
usage: {program} [KEY=VALUE ...] [GROUP=OPTION ...]

Score a trained model: of the newest run below outputs/, or run=DIR, or
ckpt_path=FILE, on the text that it was trained with, or on another one, which
is scored whole. Results go into the run's evaluation.json, with a picture.

  {program}
  {program} run=outputs/novel method=context
  {program} data=text data.path=other.txt data.unknown=skip

{options}"""

_RUNS = """\
usage: {program} [KEY=VALUE ...]

List the runs below outputs/, finished and running, as a table, CSV or JSON; or
say how their configurations differ; or draw their curves.

  {program} sort=loss limit=10
  {program} folder=sweeps format=csv
  {program} plot=curves.png match=hidden_size over=seconds

Keys: runs_dir, runs; status, data, model, folder, match (which runs); sort,
limit, format; diff; plot, metric, over, log, title.
{options}"""

_EMBED = """\
usage: {program} data.path=TEXT out=FILE.npy [KEY=VALUE ...]

Write a vector of each line of a text, or of each window, with a trained model:
of the newest run below outputs/, or run=DIR, or ckpt_path=FILE.

  {program} data.path=lines.txt out=vectors.npy
  {program} data.path=my_novel.txt unit=window out=windows.npy
  {program} data.path=lines.txt out=vectors.npy projector=true

{options}"""

_SCORE = """\
usage: {program} data.path=TEXT [KEY=VALUE ...] [GROUP=OPTION ...]

Say how likely a text is, line by line, token by token, or as a whole, with a
trained model: of the newest run below outputs/, or run=DIR, or ckpt_path=FILE.
A terminal gets a table, a pipe gets CSV, and out=FILE gets all rows.

  {program} data.path=server.log sort=surprise top=20
  {program} data.path=- out=scores.csv < lines.txt
  {program} data.path=my_novel.txt unit=text html=my_novel.html

{options}"""

_EXPORT = """\
usage: {program} [format=FORMAT] [out=PATH] [KEY=VALUE ...]

Write a trained model into files that other programs read, or into a page that
writes in a browser (format=html): of the newest run below outputs/, or run=DIR,
or ckpt_path=FILE. What computes something else than the model is not kept.

  {program} format=html
  {program} run=outputs/novel format=onnx out=my_model
  {program} format=onnx quantize=int8

{options}"""

_SERVE = """\
usage: {program} [port=PORT] [KEY=VALUE ...] [GROUP=OPTION ...]

Answer over HTTP with a trained model, of the newest run below outputs/, or
run=DIR, or ckpt_path=FILE: a page in the browser, POST /v1/completions as the
OpenAI API has it (also /generate), POST /score, GET /health. Ctrl-C ends it.

  {program}
  {program} run=outputs/novel port=8080
  {program} host=0.0.0.0 max_texts=256 max_seconds=30.0

{options}"""

_OPTIONS = """\
Groups and their options ([...]: taken unless you say otherwise):
{table}

"""
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
    options = (_OPTIONS.format(table=table) if table else "") + _KEYS.format(program=typed)
    text = _TEXTS[verb].format(program=typed, options=options)
    return text + "".join(f"{problem}\n" for problem in plugins.found().problems)
