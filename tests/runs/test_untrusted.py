"""Archives and pickles that stand for more than their file has: refused in a line, before memory is asked for."""

import io
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forging import ring, twice

from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, untrusted
from lstm_lm.runs.untrusted import Forged, plain

WHOLE: dict[str, Any] = {"lstm_lm": {"schema_version": 1}, "state_dict": {"model.weight": torch.arange(6.0).view(2, 3)}}


def archive(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def rewritten(data: bytes, compression: int = zipfile.ZIP_STORED, **more: bytes) -> bytes:
    """The same members, and more, in another archive."""
    source, file = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        for name, content in more.items():
            target.writestr(f"{source.namelist()[0].split('/')[0]}/{name}", content)
    return file.getvalue()


def sealed(data: bytes, path: Path) -> Path:
    """With a digest that fits, as whoever forges one would."""
    with path.open("wb+") as file:
        file.write(data)
        checkpoint_file._seal(file)
    return path


def refusal(data: bytes, tmp_path: Path) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            checkpoint_file.load(sealed(data, tmp_path / "a.ckpt"))
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value).splitlines()) == 2
    return str(caught.value)


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    """The same archive in every respect but for what is forged below."""
    for data in (archive(WHOLE), rewritten(archive(WHOLE))):
        loaded = checkpoint_file.load(sealed(data, tmp_path / "a.ckpt"))
        assert torch.equal(loaded["state_dict"]["model.weight"], WHOLE["state_dict"]["model.weight"])


def test_a_compressed_member(tmp_path: Path) -> None:
    bomb = archive(WHOLE | {"zeros": torch.zeros(2**26)})  # 256 MiB
    small = rewritten(bomb, zipfile.ZIP_DEFLATED)
    assert len(small) < 2**20
    assert "compressed" in refusal(small, tmp_path)


def test_two_archives_of_which_each_reader_may_see_another(tmp_path: Path) -> None:
    hidden = rewritten(archive(WHOLE | {"zeros": torch.zeros(2**26)}), zipfile.ZIP_DEFLATED)
    assert "its index is not where it says" in refusal(hidden + rewritten(archive(WHOLE)), tmp_path)


def test_more_operations_than_any_checkpoint_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "MOST_OPERATIONS", 1000)
    assert "operations" in refusal(archive(WHOLE | {"lists": [{} for _ in range(1000)]}), tmp_path)


def test_an_index_that_claims_more_than_there_is(tmp_path: Path) -> None:
    """As several entries for the same bytes do, too: their sizes add up."""
    data = bytearray(archive(WHOLE | {"zeros": torch.zeros(10_000), "more": torch.ones(10_000)}))
    index = [at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2" and b"data/" in data[at + 46 : at + 70]]
    for place, width in ((20, 4), (24, 4)):  # compressed size, size
        claims = data.copy()
        claims[index[1] + place : index[1] + place + width] = (2**31).to_bytes(4, "little")
        assert "two sizes" in refusal(bytes(claims), tmp_path)
    claims = data.copy()
    claims[index[1] + 20 : index[1] + 28] = (2**31).to_bytes(4, "little") * 2
    assert "more bytes than the file has" in refusal(bytes(claims), tmp_path)


def test_a_member_whose_name_is_there_twice(tmp_path: Path) -> None:
    """Torch takes one of the two, in whatever case; what is looked at must be what is read."""
    assert "twice" in refusal(rewritten(archive(WHOLE), **{"DATA.PKL": b"\x80\x02}."}), tmp_path)


class Reduced:
    """Pickled as a call of something that torch allows."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "thing",
    [
        Reduced(bytearray, (10**11,)),
        Reduced(Counter, ({"a": 1},)),
        Reduced(torch.device, ("cpu",)),
        torch.empty(10**12, device="meta"),
        torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.long), torch.ones(1), (10**12,), check_invariants=False),
        torch.ones(3, dtype=torch.complex64),
    ],
    ids=["bytearray", "counter", "device", "meta", "sparse", "complex"],
)
def test_what_torch_would_call_and_no_checkpoint_needs(thing: Any, tmp_path: Path) -> None:
    assert "could run code" in refusal(archive(WHOLE | {"thing": thing}), tmp_path)


def test_a_tensor_of_more_numbers_than_it_has(tmp_path: Path) -> None:
    assert "has room for fewer" in refusal(archive(WHOLE | {"a": torch.zeros(1).expand(10**12)}), tmp_path)
    overlapping = torch.zeros(10).as_strided((5, 5), (1, 1))
    assert "has room for fewer" in refusal(archive(WHOLE | {"a": overlapping}), tmp_path)


def test_many_tensors_of_the_same_bytes(tmp_path: Path) -> None:
    """Each by itself is fine; a copy of all would not be. Twice is what tied weights are."""
    zeros = torch.zeros(250_000)
    checkpoint_file.load(sealed(archive(WHOLE | {"a": [zeros] * 2}), tmp_path / "a.ckpt"))
    assert "more than the file can hold" in refusal(archive(WHOLE | {"a": [zeros] * 1_000}), tmp_path)


def nested(depth: int) -> list[Any]:
    node: list[Any] = []
    for _ in range(depth):
        node = [node]
    return node


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: twice(35), "more than the file can hold"),
        (lambda: ["x" * 10_000] * 10_000, "more than the file can hold"),
        (ring, "deep"),
        (lambda: nested(100), "deep"),
        (lambda: 2**200, "64 bits"),
        (lambda: {(1, 2): 3}, "name"),
    ],
    ids=["lists of the same list", "the same text", "a list in itself", "deep", "a long number", "no name"],
)
def test_plain_values_that_stand_for_more(make: Callable[[], Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(archive(WHOLE | {"a": make()}), tmp_path)


def test_nothing_is_left_of_what_a_pickle_can_hang_on_things() -> None:
    state = OrderedDict(weight=torch.ones(2, requires_grad=True))
    state._metadata = "no such"  # type: ignore[attr-defined]
    found = plain({"state": state}, 1000)
    assert type(found["state"]) is dict
    assert not found["state"]["weight"].requires_grad
    with pytest.raises(Forged, match="neither a tensor nor a plain value"):
        plain({"a": {1, 2}}, 1000)
