"""Text for Lightning: the `data` and `tokenizer` sections of the configuration become loaders of windows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray

from lstm_lm.data.cache_folder import cache_folder
from lstm_lm.data.corpora import corpus_class
from lstm_lm.data.corpora.interface import CorpusOptions, Split
from lstm_lm.data.enough import check_lines, check_streams
from lstm_lm.data.known_units import digests_of
from lstm_lm.data.lines import EvalLines, Lines, TrainLines, find_lines, group_windows
from lstm_lm.data.manifest import Manifest
from lstm_lm.data.streams import Batch, EvalWindows, TrainWindows
from lstm_lm.data.token_store import EncodedCorpus, How, encoded
from lstm_lm.data.token_stream import ON_HOST, Placed, Placement, TokenStreamOption, choose
from lstm_lm.errors import UserError
from lstm_lm.tokenizers import Tokenizer, tokenizer_class


class TextDataModule(LightningDataModule):
    """A corpus, encoded and cut into windows.

    The options are checked when it is made, before any text is read; `prepare` reads (or finds in the cache), and
    everything else needs `prepare` to have been called. Lightning calls it through `prepare_data` and `setup`.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        tokenizer_options: Mapping[str, Any],
        seed: int,
        tokenizer: Tokenizer | None = None,
        *,
        extend: bool = False,
        rank: int = 0,
        world_size: int = 1,
        repeat_windows: int | float = 0,
        device: torch.device = ON_HOST.device,
        token_stream: TokenStreamOption = "auto",
    ) -> None:
        """Check the options.

        Args:
            data: the `data` section of the configuration.
            tokenizer_options: the `tokenizer` section; not looked at where `tokenizer` is given as it is.
            seed: fixes the rotation of the training text in each epoch; 0 or more.
            tokenizer: one to use (a checkpoint's) instead of one fitted on this text.
            extend: whether `tokenizer`, which grows, learns what it does not know of this text.
            rank: of this process; a trainer, once there is one, knows better.
            world_size: number of processes; as `rank`.
            repeat_windows: train on the first few windows only (int), or on a part of them (float); 0: on all.
            device: where the model computes: windows are handed out there.
            token_stream: where the whole text lies meanwhile: on that device, or in the host's memory.

        Raises:
            UserError: an option is unknown, missing or out of range.
        """
        super().__init__()
        corpus = corpus_class(data)
        self.options: CorpusOptions = corpus.OptionsType.parse(data, "data")
        self._cache = cache_folder(self.options.cache_dir)
        self._corpus = corpus(self.options, self._cache)
        self._seed = seed
        self._repeat = repeat_windows
        self._expected = rank, world_size
        self._how: How
        if tokenizer is not None and not extend:
            self._how = tokenizer
        else:
            kind = tokenizer or tokenizer_class(_name(tokenizer_options, "tokenizer"))
            self._how = kind, kind.OptionsType.parse(tokenizer_options, "tokenizer")
        self._device, self._token_stream = device, token_stream
        self.placement: Placement = ON_HOST
        """Where the text lies; known once `prepare` has been called."""
        self._placed: dict[Split, Placed] = {}
        self._encoded: EncodedCorpus | None = None
        self._train_windows: TrainWindows | TrainLines | None = None
        self._lines: dict[Split, Lines] = {}
        self._saved_place: Mapping[str, Any] | None = None

    def prepare(self) -> None:
        """Find the text, encode it unless that has been done before, and check that there is enough of it.

        Raises:
            UserError: the text is missing, unreadable, too short, or has characters that the tokenizer does not know;
                it is to lie on a GPU that has too little free memory.
            RunError: the disk is full.
        """
        if self._encoded is None:
            corpus = replace(self._corpus.load(), units=self.options.units())
            found = encoded(corpus, self._how, self.options.still_unknown, self._cache)
            if self._separator is not None:
                longest, cut = self.options.seq_len, self.options.unit == "line"
                self._lines = {
                    split: find_lines(found.tokens(split), found.tokenizer, longest, self._separator, cut=cut)
                    for split in found.manifest.splits
                }
            self._check_lengths(found.manifest)
            tokens = sum(split.tokens for split in found.manifest.splits.values())
            self.placement = choose(self._token_stream, self._device, tokens, found.tokenizer.vocabulary_size)
            self._encoded = found

    def prepare_data(self) -> None:
        """Lightning's hook, called in one process of each machine."""
        self.prepare()

    def setup(self, stage: str) -> None:  # noqa: ARG002  (the same for each)
        """Lightning's hook, called in every process."""
        self.prepare()

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the text is encoded with."""
        return self._ready.tokenizer

    @property
    def manifest(self) -> Manifest:
        """What the encoded text consists of."""
        return self._ready.manifest

    @property
    def windows_per_epoch(self) -> int:
        """Training windows in an epoch, in each process."""
        streams = self.options.batch_size * self._processes[1]
        if self._lines:
            return int(group_windows(self._lines["train"], streams).sum())
        stream_length = self.manifest.splits["train"].tokens // streams
        return -(-stream_length // self.options.seq_len)

    def tokens(self, split: Split) -> NDArray[Any]:
        """The ids of a split, [N], as a read-only memory map of the smallest unsigned type.

        Raises:
            KeyError: there is no such split.
        """
        return self._ready.tokens(split)

    def predicted(self, split: Split) -> int:
        """Tokens of a split that are predicted: all but its first one, or those of its units.

        Raises:
            KeyError: there is no such split.
        """
        return self._lines[split].tokens if self._lines else self.manifest.splits[split].tokens - 1

    def training_units(self) -> torch.Tensor | None:
        """Digests of the units of the training text, as `KnownUnits` takes them; None: it has none, or too many."""
        if self._separator is None:
            return None
        return digests_of(self.tokens("train"), self.tokenizer, self._separator)

    def train_dataloader(self) -> TrainWindows | TrainLines:
        """The training windows of this process; with `repeat_windows` the first few of them, again and again.

        Its length is that of an epoch all the same: the trainer cuts it short, and reads a share as one of the epoch.

        Raises:
            UserError: the text is too short for the streams of all processes.
        """
        self._check_lengths(self.manifest)
        rank, world_size = self._processes
        few = self._repeat
        repeat = (few if isinstance(few, int) else max(1, int(few * self.windows_per_epoch))) or None
        if self._lines:
            self._train_windows = TrainLines(
                self._place("train"),
                self._lines["train"],
                self.options.batch_size,
                seed=self._seed,
                repeat=repeat,
                rank=rank,
                world_size=world_size,
            )
        else:
            self._train_windows = TrainWindows(
                self._place("train"),
                self.options.batch_size,
                self.options.seq_len,
                seed=self._seed,
                carry_state=self.options.carry_state,
                lengths=self.options.window_lengths,
                repeat=repeat,
                rank=rank,
                world_size=world_size,
            )
        if self._saved_place is not None:
            self._train_windows.load_state_dict(self._saved_place)
            self._saved_place = None
        return self._train_windows

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint: the place in the training text.

        Lightning saves the loader's own state too, but restores that only where it finds an epoch unfinished, and not
        where the number of steps was asked for before; this it always restores.
        """
        place = self._saved_place if self._train_windows is None else self._train_windows.state_dict()
        return {} if place is None else {"train": place}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume at a saved place.

        Raises:
            UserError: it is none.
        """
        place = state_dict.get("train")
        if place is None or self._train_windows is None:
            self._saved_place = place
        else:
            self._train_windows.load_state_dict(place)

    def val_dataloader(self) -> EvalWindows | EvalLines:
        """The windows of the validation split, the same in every process."""
        return self.eval_windows("validation")

    def test_dataloader(self) -> EvalWindows | EvalLines | list[EvalWindows]:
        """The windows of the test split, the same in every process; an empty list where there is no such split."""
        return self.eval_windows("test") if "test" in self.manifest.splits else []

    def eval_windows(self, split: Split) -> EvalWindows | EvalLines:
        """A split, the training split too, with each token but the first predicted once; of units, each token.

        Raises:
            KeyError: there is no such split.
        """
        options = self.options
        if self._lines:
            return EvalLines(self._place(split), self._lines[split], options.eval_batch_size)
        return EvalWindows(self._place(split), options.eval_batch_size, options.seq_len, context=options.eval_context)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Lightning's hook. Windows come from where they are needed, as a rule; then there is nothing to do."""
        if batch.inputs.device == device:
            return batch
        return batch._replace(inputs=batch.inputs.to(device), targets=batch.targets.to(device))

    def _place(self, split: Split) -> Placed:
        """Once: a loader may be asked for again and again."""
        if split not in self._placed:
            self._placed[split] = self.placement.place(self.tokens(split))
        return self._placed[split]

    @property
    def _ready(self) -> EncodedCorpus:
        if self._encoded is None:
            raise RuntimeError("call prepare() first")
        return self._encoded

    @property
    def _separator(self) -> str | None:
        return self.options.unit_end()

    @property
    def _processes(self) -> tuple[int, int]:
        """(rank of this process, number of processes)."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else self._expected

    def _check_lengths(self, manifest: Manifest) -> None:
        if self._lines:
            check_lines(self._lines, self.options, self._processes[1])
        else:
            check_streams(manifest.splits, self.options, self._processes[1])


def _name(section: Mapping[str, Any], where: str) -> str:
    name = section.get("name")
    if not isinstance(name, str):
        raise UserError(f"{where}.name={name!r}: must be the name of an option of {where}=")
    return name
