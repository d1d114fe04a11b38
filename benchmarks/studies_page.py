"""`docs/studies.md` and its pictures, made from the figures that are kept in `benchmarks/results/studies/`.

python benchmarks/studies_page.py [outputs/studies] [--size small]

With a folder of finished studies, their figures are kept first: of FOLDER/NAME/SIZE the results.csv as NAME.csv, and
what they were run on in about.json. Question and answer are written by people, in benchmarks/studies_meaning.md, after
they have seen them.
"""

import argparse
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import kept_studies

from lstm_lm.reports.figure import save
from lstm_lm.sweeps.page import PAGE as REPORT
from lstm_lm.sweeps.page import TABLE, find_report

ROOT = Path(__file__).resolve().parents[1]
MEANING = ROOT / "benchmarks" / "studies_meaning.md"
RESULTS = ROOT / "benchmarks" / "results" / "studies"
IMAGES = ROOT / "docs" / "images" / "studies"
PAGE = ROOT / "docs" / "studies.md"

ORDER = ("precision_compile", "layers", "batch_device", "architectures", "tuning")
PICTURES = {"architectures": "architectures_loss"}
"""The one that answers the question, where a report has several or names it otherwise than the study."""
CAPTIONS = {
    "precision_compile": "Speed and memory, times those of float32: medians and 95 % intervals; grey: no difference.",
    "layers": "Speed over the number of layers; shaded: 95 % intervals.",
    "batch_device": "Tokens per second over the batch size; shaded: from the lowest to the highest.",
    "architectures": "Validation loss: medians, from the lowest to the highest; hollow: barely trained.",
    "tuning": "Speed and loss, times the default's: medians and 95 % intervals; grey: no difference.",
}
INTRODUCTION = """# Studies

Five questions, each answered by one command on your own machine, or by the larger study of `study.size=full` on one
with a GPU. Each row ran in fresh processes, three times, in turns with the others, and no difference inside the noise
is called one ([how, and why](decisions/0020-studies.md)). The answers here are those of the small studies.
Machine: {machine}. "The default" is that of the day: 2 layers of 256, an embedding of 128, windows of 64, a learning
rate of 4e-3.

`python train.py -m study=NAME` also writes a report with every row, and a command to run it again. This page is made by
`python benchmarks/studies_page.py`.
"""


def main() -> None:
    """Keep what is new; draw; make the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="holds the folders of studies that were run again")
    parser.add_argument("--size", default="small", choices=("small", "full"))
    given = parser.parse_args()
    if given.folder is not None:
        keep(given.folder, given.size)
    draw(given.size)
    PAGE.write_text(page(), encoding="utf-8")


def keep(studies: Path, size: str, results: Path = RESULTS) -> None:
    """Copy the figures of the studies that are there, and write down what they were run on."""
    about = json.loads((results / "about.json").read_text(encoding="utf-8"))
    for name in ORDER:
        folder = studies / name / size
        if (folder / REPORT).exists():
            shutil.copyfile(folder / TABLE, results / f"{name}.csv")
            about[name] = dict(re.findall(r"^\| (\w+) \| (.*) \|$", (folder / REPORT).read_text("utf-8"), re.MULTILINE))
    (results / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def draw(size: str, images: Path = IMAGES) -> None:
    """One picture a study."""
    images.mkdir(parents=True, exist_ok=True)
    for name in ORDER:
        pictures = find_report(name).plots(kept_studies.read(RESULTS / f"{name}.csv", size))
        save(pictures[PICTURES.get(name, name)], images / f"{name}.png")


def page() -> str:
    """The whole page."""
    about = json.loads((RESULTS / "about.json").read_text(encoding="utf-8"))
    machines = " and ".join(dict.fromkeys(about[name]["machine"] for name in ORDER))
    said = read_meanings(MEANING)
    blocks = [INTRODUCTION.format(machine=machines)]
    blocks += ["\n\n".join(section(name, *said[name], about[name])) + "\n" for name in ORDER]
    return "\n".join(blocks)


def section(name: str, question: str, answer: str, about: dict[str, str]) -> Iterator[str]:
    """The blocks of one study."""
    yield f"## {question}"
    yield answer
    yield f"![{CAPTIONS[name]}]({IMAGES.relative_to(PAGE.parent).as_posix()}/{name}.png)"
    yield f"*{CAPTIONS[name]}*"
    yield f"```bash\npython train.py -m study={name}\n```"
    figures = f"[every run's figures](../{(RESULTS / name).relative_to(ROOT).as_posix()}.csv)"
    kept = f"[versions](../{(RESULTS / 'about').relative_to(ROOT).as_posix()}.json)"
    yield f"Trained: {about['trained']}; {about['date']}, commit {about['commit'][:8]}, {kept}; {figures}."


def read_meanings(path: Path) -> dict[str, tuple[str, str]]:
    """By study, its question and answer: what stands in its heading after the name, and below it."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^## (\w+): (.*)\n((?:(?!^## ).*\n)*)", text, flags=re.MULTILINE)
    return {name: (question, answer.strip()) for name, question, answer in found}


if __name__ == "__main__":
    main()
