"""`data=python_docs`: the Python language reference as every CPython carries it. Nothing to download."""

from typing import ClassVar

from lstm_lm.data.corpora.interface import Corpus, CorpusOptions, CorpusText, NoPathOptions
from lstm_lm.data.text_source import StringText
from lstm_lm.errors import UserError


class PythonDocs(Corpus):
    """English prose: 465,000 characters in Python 3.11, more in each version since (599,000 in 3.14)."""

    OptionsType: ClassVar[type[CorpusOptions]] = NoPathOptions

    def load(self) -> CorpusText:
        """The topics of `help()`, in alphabetical order, a blank line between two.

        Raises:
            UserError: this Python was installed without them.
        """
        try:
            from pydoc_data.topics import topics
        except ImportError:
            raise UserError(
                "data=python_docs: this Python was installed without pydoc_data, the text to train on\n"
                "use another text: data=text data.path=FILE"
            ) from None
        text = "\n".join(topics[name].rstrip("\n") + "\n" for name in sorted(topics))
        source = StringText(text, "the Python language reference")
        return CorpusText("python_docs", {"train": source}, self.options.fractions())


CORPUS = PythonDocs
