"""The look of all pictures: stable files, readable axes."""

import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from lstm_lm.errors import RunError
from lstm_lm.reports.figure import DPI, describe, line, log_axis, panels, reference, save
from lstm_lm.reports.palette import ink


def pixels(png: Path) -> tuple[int, int]:
    """Width and height, as the file's header says."""
    width, height = struct.unpack(">II", png.read_bytes()[16:24])
    return width, height


def drawing(label: str) -> Figure:
    figure, [axes] = panels(width=4.0, height=2.0)
    line(axes, [1, 10, 100], [3.0, 2.0, 1.5], ink(0), label=label, low=[2.9, 1.9, 1.4], high=[3.1, 2.1, 1.6])
    reference(axes, 1.4697, label="anchor")
    describe(axes, title="losses", x="steps", y="loss")
    return figure


@pytest.mark.parametrize(
    ("ending", "begins"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml"), (".SVG", b"<?xml")]
)
def test_a_picture_is_what_its_name_ends_in_and_the_same_one_the_same_file(
    ending: str, begins: bytes, tmp_path: Path
) -> None:
    one, other = tmp_path / f"one{ending}", tmp_path / f"other{ending}"
    save(drawing("a"), one)
    save(drawing("a"), other)
    assert one.read_bytes().startswith(begins)
    assert one.read_bytes() == other.read_bytes()


def test_the_size_in_pixels_does_not_depend_on_what_is_drawn(tmp_path: Path) -> None:
    for label in ("a", "a label that is far longer than the panel has room for, beside the line's end"):
        save(drawing(label), tmp_path / "out.png")
        assert pixels(tmp_path / "out.png") == (4 * DPI, 2 * DPI)


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        save(drawing("a"), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert b"Software" not in (tmp_path / "one.png").read_bytes()


def test_a_picture_has_no_background_and_no_ink_that_a_dark_page_swallows(tmp_path: Path) -> None:
    save(drawing("a"), tmp_path / "out.png")
    red, green, blue, alpha = np.moveaxis(image.imread(tmp_path / "out.png"), 2, 0)
    assert alpha[0, 0] == 0
    assert (red + green + blue)[alpha == 1].min() > 0.5


def test_a_picture_that_cannot_be_written_names_its_path(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere.out\.png"):
        save(drawing("a"), tmp_path / "nowhere" / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    figure, [axes] = panels()
    line(axes, [1, 1024], [0.5, 20_000.0], ink(0))
    log_axis(axes, "x", base=2, ticks=[1, 32, 1024])
    log_axis(axes, "y")
    figure.draw_without_rendering()
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "32", "1,024"]
    shown = {tick.get_text() for tick in axes.get_yticklabels()}
    assert {"0.5", "10", "10,000"} <= shown
    assert not any("$" in text for text in shown), "no powers of ten to work out"


def test_several_panels_come_row_by_row() -> None:
    figure, found = panels(2, 3, width=6.0, height=3.0)
    assert len(found) == 6
    assert tuple(figure.get_size_inches()) == (6.0, 3.0)
