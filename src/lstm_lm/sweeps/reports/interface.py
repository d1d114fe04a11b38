"""What a study's own report says, within the frame that all of them share (`sweeps/page.py`)."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.figure import Figure

from lstm_lm.reports.markdown import Column
from lstm_lm.sweeps.results import Results


class StudyReport(Protocol):
    """The part of a report that belongs to one study."""

    @property
    def title(self) -> str:
        """The heading."""

    @property
    def question(self) -> str:
        """What is asked, and what others have measured, as a paragraph."""

    @property
    def columns(self) -> Sequence[Column]:
        """The figures in the table of all rows; the first is shown on the terminal as each run ends."""

    def meaning(self, results: Results) -> Sequence[str]:
        """What a reader takes away, as sentences. Nothing that is not outside the noise, and of losses nothing that a
        barely trained row has part in."""

    def findings(self, results: Results) -> Sequence[str]:
        """What came out, as Markdown blocks: sentences, tables. Nothing that is not outside the noise."""

    def plots(self, results: Results) -> Mapping[str, Figure]:
        """Pictures by the stem of their file's name; none where there is nothing to draw."""
