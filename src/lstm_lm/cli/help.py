"""What `VERB --help` says: its groups and options are names of files in `conf/`, so nothing is composed for it."""

from collections.abc import Sequence

from lstm_lm import plugins
from lstm_lm.cli.hydra.conf import option_table

_TRAIN = """\
usage: {program} [GROUP=OPTION ...] [KEY=VALUE ...] [-m]

Train a language model on text: the Python language reference, or your own.

Groups and their options ([...]: taken unless you say otherwise):
{options}

Every key of every option can be set: KEY=VALUE. All keys and their values: {program} --cfg job

Examples:
  {program}
  {program} data=text data.path=my_novel.txt tokenizer=bpe
  {program} model.hidden_size=512 model.num_layers=2 optimizer.lr=1e-2 trainer.max_epochs=10
  {program} precision=16-mixed trainer.accelerator=gpu
  {program} -m model.hidden_size=64,128 precision=32-true,bf16-mixed

-m runs all combinations of comma-separated values. --hydra-help lists Hydra's other flags.
"""

_GENERATE = """\
usage: {program} [KEY=VALUE ...] [GROUP=OPTION ...]

Write text with a trained model: of the newest run below outputs/, or run=DIR, or ckpt_path=FILE.
The text goes to standard output, everything else to standard error.

Groups and their options ([...]: taken unless you say otherwise):
{options}

All keys with their values: {program} --cfg job

Examples:
  {program} prompt="To be, or not to be" temperature=0.8
  {program} run=outputs/2026-01-31_12-00-00 max_new_tokens=1000 seed=1
  {program} prompt_file=start.txt num_samples=4 top_p=0.9
  {program} prompt="Name: " "stop=[;,.]" device=cpu precision=bf16-true forward=stepwise
  {program} interactive=true
  {program} num_samples=20 only_new=true          (a run that was trained on lines)
"""

_EVALUATE = """\
usage: {program} [KEY=VALUE ...] [GROUP=OPTION ...]

Score a trained model: of the newest run below outputs/, or run=DIR, or ckpt_path=FILE, on the text that it was
trained with, or on another one (data=), which is scored whole. Results go into the run's evaluation.json, with a
picture beside it.

Groups and their options ([...]: taken unless you say otherwise):
{options}

All keys with their values: {program} --cfg job

Examples:
  {program}
  {program} run=outputs/2026-01-31_12-00-00 method=context
  {program} method=dynamic device=cpu runtime.threads=2
  {program} data=text data.path=other.txt data.unknown=skip
  {program} method.splits=[validation] precision=bf16-mixed forward=stepwise
"""

_RUNS = """\
usage: {program} [KEY=VALUE ...]

List the runs below outputs/, finished and running, as a table, CSV or JSON; or say how their configurations
differ; or draw their curves.

Keys: runs_dir, runs; status, data, model, folder, match (which runs); sort, limit, format;
diff; plot, metric, over, log, title. All of them, with their values: {program} --cfg job

Examples:
  {program} sort=loss limit=10
  {program} status=completed data=tinyshakespeare sort=-speed
  {program} folder=sweeps format=csv
  {program} diff=[2026-01-31_12-00-00,2026-01-31_13-00-00]
  {program} plot=curves.png match=hidden_size over=seconds
"""

_EMBED = """\
usage: {program} data.path=TEXT out=FILE.npy [KEY=VALUE ...] [GROUP=OPTION ...]

Write a vector of each line of a text, or of each window, with a trained model: of the newest run below outputs/,
or run=DIR, or ckpt_path=FILE.

Groups and their options ([...]: taken unless you say otherwise):
{options}

All keys with their values: {program} --cfg job

Examples:
  {program} data.path=lines.txt out=vectors.npy
  {program} data.path=my_novel.txt unit=window out=windows.npy
  {program} run=outputs/2026-01-31_12-00-00 data.path=lines.txt out=vectors.npy overwrite=true
  {program} data.path=lines.txt out=vectors.npy projector=true
  {program} data.path=lines.txt out=vectors.npy unknown=skip batch_size=256 device=cpu
"""

_SCORE = """\
usage: {program} data.path=TEXT [KEY=VALUE ...] [GROUP=OPTION ...]

Say how likely a text is, line by line, token by token, or as a whole, with a trained model: of the newest run below
outputs/, or run=DIR, or ckpt_path=FILE. A terminal gets a table, a pipe gets CSV, and out=FILE gets all rows.

Groups and their options ([...]: taken unless you say otherwise):
{options}

All keys with their values: {program} --cfg job

Examples:
  {program} data.path=lines.txt
  {program} data.path=server.log sort=surprise top=20
  {program} data.path=- out=scores.csv < lines.txt
  {program} data.path=my_novel.txt unit=text html=my_novel.html
  {program} run=outputs/2026-01-31_12-00-00 data.path=lines.txt unit=token format=jsonl unknown=skip
"""

_EXPORT = """\
usage: {program} [format=FORMAT] [out=DIR|FILE.html] [KEY=VALUE ...]

Write a trained model into files that other programs read: of the newest run below outputs/, or run=DIR, or
ckpt_path=FILE. They are tried against the model first; what computes something else is not kept.

Groups and their options ([...]: taken unless you say otherwise):
{options}

All keys with their values: {program} --cfg job

Examples:
  {program}
  {program} run=outputs/2026-01-31_12-00-00 format=onnx out=my_model
  {program} format=onnx quantize=int8
  {program} format=html prompt="It was"
  {program} ckpt_path=last format=safetensors
  {program} run=outputs/2026-01-31_12-00-00 format=onnx --cfg job
"""

_TEXTS = {
    "train": _TRAIN,
    "generate": _GENERATE,
    "evaluate": _EVALUATE,
    "score": _SCORE,
    "runs": _RUNS,
    "embed": _EMBED,
    "export": _EXPORT,
}


def help_of(verb: str, program: Sequence[str]) -> str:
    """How to use a verb; `program` is what is typed before its arguments, for the examples."""
    text = _TEXTS[verb].format(program=" ".join(program), options=option_table(verb))
    return text + "".join(f"{problem}\n" for problem in plugins.found().problems)
