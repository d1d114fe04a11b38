"""`tokenizer=whitespace`"""

from hypothesis import given
from tokenizer_texts import ANY_TEXT

from lstm_lm.tokenizers import tokenizer_from_json
from lstm_lm.tokenizers.whitespace import WhitespaceTokenizer

TOKENIZED = " \n = Heading = \n \n The <unk> n't , 1 @,@ 000 . \n"


def test_tokens_of_a_tokenized_text_are_those_between_blanks_and_the_ends_of_lines(fit):
    """As papers on WikiText count them: each line's words, and one end for each line, an empty one too."""
    tokenizer = fit("whitespace", TOKENIZED)
    papers = [word for line in TOKENIZED.splitlines() for word in [*line.split(), "\n"]]
    ids = tokenizer.encode(TOKENIZED).ids
    assert [tokenizer.decode([token]).lstrip(" ") for token in ids] == papers
    assert 0 not in ids, "what the text itself calls <unk> is a word like any other"
    assert tokenizer.vocabulary_size == len(set(papers)) + 1


@given(ANY_TEXT)
def test_the_pieces_joined_are_the_text(text):
    assert "".join(WhitespaceTokenizer.piece.findall(text)) == text


def test_it_comes_back_from_its_json_as_itself(fit):
    stored = fit("whitespace", TOKENIZED).to_json()
    assert stored["name"] == "whitespace"
    assert tokenizer_from_json(stored).to_json() == stored
