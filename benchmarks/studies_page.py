"""`docs/studies.md`, made from the folders of finished studies: reports, pictures, figures, and what they mean.

python benchmarks/studies_page.py outputs/studies [--size small]

For each study NAME in FOLDER/NAME/SIZE: its findings go into the page, its pictures to docs/images/studies/, its
results.csv to benchmarks/results/studies/NAME.csv. What the findings mean is written by people, in
benchmarks/studies_meaning.md, after they have seen them; until then the page holds a mark that a test refuses.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lstm_lm.sweeps.page import PAGE as REPORT
from lstm_lm.sweeps.page import TABLE

ROOT = Path(__file__).resolve().parents[1]
MEANING = Path("benchmarks/studies_meaning.md")
RESULTS = Path("benchmarks/results/studies")
IMAGES = Path("docs/images/studies")
PAGE = Path("docs/studies.md")

ORDER = ("precision_compile", "layers", "batch_device", "architectures", "tuning")
NOT_WRITTEN = "@WHAT_IT_MEANS@"
LEFT_OUT = ("Run a row again",)
INTRODUCTION = """# Studies

Five questions, each answered by one command on your own machine: `python train.py -m study=NAME`; with
`study.size=full` on one with a GPU. Here are the small ones, as this project's own machine answered them. Every row
runs in fresh processes, contenders take turns, and no difference inside the noise is called one
([how, and why](decisions/0020-studies.md)). "The default" is that of the day they ran: 2 layers of 256, an embedding of
128, windows of 64, a learning rate of 4e-3. This page is made by `python benchmarks/studies_page.py outputs/studies`.
"""


def main() -> None:
    """Make the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder that holds the studies' folders")
    parser.add_argument("--size", default="small", choices=("small", "full"))
    given = parser.parse_args()
    missing = make(given.folder, given.size, ROOT)
    if missing:
        sys.exit(f"not in {given.folder}, and so not in {PAGE}: {', '.join(missing)}")


def make(studies: Path, size: str, root: Path) -> list[str]:
    """Write the page, copy pictures and figures; gives the names of studies that have no report.

    Args:
        studies: holds NAME/SIZE/report.md.
        size: `small` or `full`.
        root: of the checkout that the page is written into.
    """
    meanings = read_meanings(root / MEANING)
    there = {name: studies / name / size for name in ORDER if (studies / name / size / REPORT).exists()}
    parts = [INTRODUCTION]
    (root / IMAGES).mkdir(parents=True, exist_ok=True)
    (root / RESULTS).mkdir(parents=True, exist_ok=True)
    for old in (root / IMAGES).glob("*.png"):
        old.unlink()
    for name, folder in there.items():
        pictures = sorted(folder.glob("*.png"))
        for picture in pictures:
            shutil.copyfile(picture, root / IMAGES / picture.name)
        shutil.copyfile(folder / TABLE, root / RESULTS / f"{name}.csv")
        report = (folder / REPORT).read_text(encoding="utf-8")
        parts.append("\n\n".join(section(name, size, report, meanings.get(name, NOT_WRITTEN))) + "\n")
    (root / PAGE).write_text("\n".join(parts), encoding="utf-8")
    return [name for name in ORDER if name not in there]


def section(name: str, size: str, report: str, meaning: str) -> Iterator[str]:
    """The blocks of one study."""
    head, *chapters = re.split(r"^## ", report, flags=re.MULTILINE)
    title, _, about = head.partition("\n")
    yield f"## {title.removeprefix('# ').removesuffix(f' ({size})')}"
    question, _, circumstances = about.strip().partition("\n\n")
    yield question
    yield f"**What it means.** {meaning}"
    for chapter in chapters:
        heading, _, body = chapter.partition("\n")
        body = re.sub(r"(!\[[^\]]*\]\()([^)/]+\.png\))", rf"\g<1>{IMAGES.relative_to('docs').as_posix()}/\2", body)
        if heading == "All rows":
            yield f"<details><summary>{heading}</summary>\n\n{body.strip()}\n\n</details>"
        elif heading == "What came out":
            yield body.strip()
        elif heading not in LEFT_OUT:
            yield f"### {heading}\n\n{body.strip()}"
    yield circumstances
    how = f"python train.py -m study={name}" + ("" if size == "small" else f" study.size={size}")
    yield f"`{how}`; every run's figures: [{name}.csv](../{(RESULTS / name).as_posix()}.csv)."


def read_meanings(path: Path) -> Mapping[str, str]:
    """By study, what is written about it under its name as a heading."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = re.split(r"^## (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: written.strip() for name, written in zip(parts[::2], parts[1::2], strict=True) if written.strip()}


if __name__ == "__main__":
    main()
