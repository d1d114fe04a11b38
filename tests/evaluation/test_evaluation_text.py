"""Which text is evaluated."""

import lstm_lm
from lstm_lm.evaluation.text import data_section


def test_another_text_is_not_validated_with_the_files_of_the_run() -> None:
    """It is cut as any text is: a score of the run's own validation file would be taken for one of this text."""
    of_the_run = {**lstm_lm.compose("data=text", "data.path=a.txt")["data"], "validation_path": "b.txt"}
    assert data_section(None, of_the_run)["validation_path"] == "b.txt"
    other = data_section({"path": "b.txt", "validation_path": None}, of_the_run)
    assert (other["path"], other["validation_path"]) == ("b.txt", None)
