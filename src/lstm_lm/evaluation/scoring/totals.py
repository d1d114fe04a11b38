"""What is known of a text once it has been scored."""

from lstm_lm.evaluation.scoring.lines import Noun
from lstm_lm.evaluation.scoring.model import ScoredLine
from lstm_lm.evaluation.scoring.rows import figures
from lstm_lm.evaluation.scoring.unknown import UnknownLines


class Totals:
    """Sums over what has been scored so far."""

    def __init__(self, longest: int | None = None, *, knows_return: bool = False, noun: Noun = "line") -> None:
        r"""Begin with nothing.

        Args:
            longest: tokens of the longest line that the model was trained on, where it was trained on lines.
            knows_return: whether the `\r` of a line that ends in `\r\n` is scored.
            noun: what to call a line.
        """
        self.longest = longest
        self.noun = noun
        self._knows_return = knows_return and noun == "line"
        self.lines = 0
        self.blank = 0
        """Lines without anything to score."""
        self.longer = 0
        """Lines longer than `longest`."""
        self.returns = 0
        r"""Lines that end in `\r\n`, whose `\r` was scored."""
        self.tokens = 0
        self.characters = 0
        self.nats = 0.0
        self.unknown = UnknownLines(noun)

    def add_line(self, scored: ScoredLine, characters: int) -> None:
        """A line, and the characters that its scored tokens stand for."""
        encoded = scored.encoded
        self.lines += 1
        self.blank += not len(encoded.ids)
        self.longer += self.longest is not None and len(encoded.scored) > self.longest
        self.returns += self._knows_return and encoded.line.text.endswith("\r")
        self.unknown.add(encoded.line.number, encoded.unknown)
        self.add(len(encoded.scored), float(scored.nats.sum()), characters)

    def add(self, tokens: int, nats: float, characters: int) -> None:
        """Tokens that were scored, their losses' sum, and the characters that they stand for."""
        self.tokens += tokens
        self.nats += nats
        self.characters += characters

    @property
    def summary(self) -> str:
        """Tokens and their mean losses, for people."""
        loss = figures(self.nats, self.tokens, self.characters, self.unknown.pieces)
        bits = loss["bits_per_character"]
        more = "" if bits is None else f", {bits:.4f} bits per character"
        return f"{self.tokens:,} tokens, {loss['nats_per_token']:.4f} nats per token{more}"
