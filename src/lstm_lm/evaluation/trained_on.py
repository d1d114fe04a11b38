"""Whether text that a model is scored on is text that its run trained on."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.held_out import NO_BYTES
from lstm_lm.data.manifest import Manifest, SplitManifest
from lstm_lm.data.text_digests import digest_differences


def trained_on(splits: Iterable[Split], now: Manifest, then: Any) -> dict[Split, str]:
    """What to say of each of `splits` that was trained on, wholly or in part.

    The run's own splits need no word: that its training split was trained on is known.

    Args:
        splits: those that are scored.
        now: the text that they belong to.
        then: the manifest of the text that the run trained on, from its checkpoint; what is none says nothing.
    """
    try:
        run = Manifest.model_validate(then)
    except ValidationError:
        return {}
    if not all("train" in part for part in (run.splits, run.sources, run.files)):
        return {}
    said = {split: _overlap(split, now, run) for split in splits}
    return {split: line for split, line in said.items() if line is not None}


def changed_since(asked: Mapping[str, Any] | None, now: Manifest, then: Any) -> str | None:
    """What to say where the run's own text is scored, and is another one by now; None: nothing.

    `asked`: keys of the `data` section that were typed; `then` as for `trained_on`.
    """
    of_its_own = not any((asked or {}).get(key) is not None for key in ("name", "path", "validation_path", "test_path"))
    sources = then.get("sources") if isinstance(then, Mapping) else None
    if not of_its_own or not isinstance(sources, Mapping):
        return None
    found = digest_differences(sources, {str(split): digest for split, digest in now.sources.items()})
    return f"this is not the text that the run trained beside; {found[0]}" if found else None


def _overlap(split: Split, now: Manifest, run: Manifest) -> str | None:
    part, trained = now.splits[split], run.splits["train"]
    source: Split = split if split in now.sources else "train"
    if now.sources == run.sources and now.units == run.units and split in run.splits:
        own = run.splits[split]
        if (own.start, own.stop, own.characters) == (part.start, part.stop, part.characters):
            return None
    very_text = now.sources[source] == run.sources["train"]
    if very_text and (now.units is not None or run.units is not None):
        return f"{split}: drawn from the text that this run's training split is drawn from: some of it may have trained"
    if very_text:  # then it is known which characters trained
        start, stop = max(part.start, trained.start), min(_stop(part), _stop(trained))
        if stop <= start or not part.characters:
            return None
        share = (stop - start) / part.characters
        much = f"{share:.0%}" if share >= 0.01 else "less than 1%"
        return f"{split}: this run trained on {much} of it: these are not figures of unseen text"
    shared = len((set(now.files[source]) & set(run.files["train"])) - {NO_BYTES})
    if not shared:
        return None
    files = f"{shared:,} of its {len(now.files[source]):,} files are" if len(now.files[source]) > 1 else "its file is"
    return f"{split}: {files} in the text that this run's training split is cut from: it may have been trained on"


def _stop(part: SplitManifest) -> int:
    return part.start + part.characters
