"""What hostile or careless people type, and files hold: strategies that the fuzz tests share."""

from typing import Any

from hypothesis import strategies as st

ODD_TEXTS = (
    *("", " ", "\n", "\x00", "".join(map(chr, range(32))), "\x7f\x80\x9f"),
    *("\ud800", "a\udfffb", "\u202eabc\u202c", "\u05e9\u05dc\u05d5\u05dd \u0639\u0644\u064a\u0643\u0645"),
    *("\u00e9", "e\u0301" * 100, "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\ufeffbom", "\U0010ffff"),
    *("the cat " * 20_000, "${now:%Y}", "%s %d {0} {x}", "\\x00\\n", "../../etc/passwd", "<script>"),
)
"""Nothing, control characters, lone surrogates, right-to-left, long, and what other programs would interpret."""

ANY_TEXT = st.one_of(
    st.sampled_from([text[:2000] for text in ODD_TEXTS]),
    st.text(st.characters(), max_size=40),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Mn", "Co"]), max_size=20),
    st.text("abcdefgh \n", max_size=60),
)

NUMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63), 10**400]),
    st.floats(0, 1),
    st.floats(),
)
WORDS = st.sampled_from(["auto", "none", "null", "0", "-1", "1e3", "nan", "lstm", "adamw", "cosine", "gpu", "x" * 5000])

JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(NUMBERS, WORDS, ANY_TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
"""What a JSON or YAML file may hold."""

ANYTHING = st.one_of(
    JSON,
    st.just({"_target_": "os.system", "command": "true"}),
    st.binary(max_size=8),
    st.tuples(st.integers()),
    st.builds(object),
)
"""And what a program may pass."""


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    """Plain data with one place of it replaced, left out or doubled."""
    descends = draw(st.integers(0, 9)) < 8
    if isinstance(whole, dict) and whole and descends:
        key = draw(st.sampled_from(sorted(whole)))
        if draw(st.integers(0, 4)) == 0:
            return {other: whole[other] for other in whole if other != key}
        return whole | {key: draw(mutated(whole[key]))}
    if isinstance(whole, list) and whole and descends:
        at = draw(st.integers(0, len(whole) - 1))
        if draw(st.integers(0, 4)) == 0:
            return [*whole[:at], whole[at], *whole[at:]]
        return [*whole[:at], draw(mutated(whole[at])), *whole[at + 1 :]]
    return draw(JSON)
