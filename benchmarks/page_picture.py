"""The README's picture of a page that writes: `format=html` of a run, opened in Chromium, light and dark.

python -m lstm_lm export run=RUN format=html out=PAGE.html prompt=ROMEO: title="Tiny Shakespeare"
python benchmarks/page_picture.py PAGE.html

docs/images/page-light.png and page-dark.png show a run of experiment=shakespeare_quick.
"""

import argparse
import tempfile
from pathlib import Path

import chromium

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZES = {"": (1280, 800), "-phone": (390, 844)}
SEED, TOKENS, TEMPERATURE, POINTED_AT = 4, 900, 0.7, 59


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=IMAGES, help="a folder")
    parser.add_argument("--colour", choices=("none", "surprise", "unit"), default="unit")
    parser.add_argument("--phone", action="store_true", help="at a phone's width, too")
    arguments = parser.parse_args()
    program = chromium.found()
    if program is None:
        parser.error("there is no Chromium here")
    with tempfile.TemporaryDirectory() as profile, chromium.chromium(program, Path(profile)) as page:
        for theme in ("light", "dark"):
            page.open(
                arguments.page, media={"prefers-color-scheme": theme, "prefers-reduced-motion": "reduce"}
            )  # so that nothing moves in the picture
            page.evaluate(
                f"$('seed').value = {SEED}; $('length').value = {TOKENS}; $('temperature').value = {TEMPERATURE};"
                "$('temperature').dispatchEvent(new Event('input')); $('write').click()"
            )
            page.wait("document.body.dataset.state === 'resting'")
            page.evaluate(
                f"document.querySelector('input[value={arguments.colour}]').click(); point({POINTED_AT}, true)"
            )
            for name, (width, height) in SIZES.items():
                if name and not arguments.phone:
                    continue
                page.size(width, height, scale=2 if name else 1, touch=bool(name))
                page.evaluate(
                    "scrollTo(0, 0); new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))"
                )
                page.picture(arguments.out / f"page{name}-{theme}.png")


if __name__ == "__main__":
    main()
