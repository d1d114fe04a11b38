"""Writes a plain text in WikiText's form: tokens between blanks, rare words as <unk>, and three files.

    python benchmarks/wikitext_form.py TEXT FOLDER [--at-least 3]

For a machine without WikiText: `experiment=awd_wikitext2 data.path=FOLDER` then trains on TEXT. The first nine tenths
of its lines train, the rest validates and tests. What it reaches there says nothing about WikiText.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

TOKENS = re.compile(r"\w+|[^\w\s]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at-least", type=int, default=3, help="a word that occurs less often is <unk>")
    given = parser.parse_args()
    lines = [TOKENS.findall(line) for line in given.text.read_text(encoding="utf-8").splitlines()]
    often = Counter(token for line in lines for token in line)
    lines = [[token if often[token] >= given.at_least else "<unk>" for token in line] for line in lines]
    cut, end = len(lines) * 9 // 10, len(lines) * 19 // 20
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", lines[:cut]), ("valid", lines[cut:end]), ("test", lines[end:])):
        text = "".join(f" {' '.join(line)} \n" if line else " \n" for line in part)
        (given.folder / f"wiki.{name}.tokens").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
