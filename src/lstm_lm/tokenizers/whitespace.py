"""Text that is tokenized already: what stands between blanks is one token, and the end of a line is another.

Benchmarks come like this (WikiText, Penn Treebank: ` <unk> , not , \n`), and their published perplexities are of these
tokens. On such a text the tokens are those of the papers, one for one, the end of a line in the place of `<eos>`.
"""

import re
from typing import ClassVar

from lstm_lm.text_pieces import BETWEEN_BLANKS, in_python
from lstm_lm.tokenizers.word import WordTokenizer


class WhitespaceTokenizer(WordTokenizer):
    """A word tokenizer that splits at blanks alone: punctuation and brackets stay with their words."""

    name: ClassVar[str] = "whitespace"
    form: ClassVar[str] = BETWEEN_BLANKS
    piece: ClassVar[re.Pattern[str]] = in_python(BETWEEN_BLANKS)


TOKENIZER = WhitespaceTokenizer
