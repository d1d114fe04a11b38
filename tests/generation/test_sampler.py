import gc
from itertools import islice

import pytest
import torch
from generation_models import Scripted, lstm
from torch import Tensor, nn

from lstm_lm.generation import sampler
from lstm_lm.generation.filters import Sampling
from lstm_lm.generation.sampler import TokenStream
from lstm_lm.models.interface import LanguageModel

V = 11
PROMPT = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6])
GREEDY = Sampling(temperature=0.0)


def begun(model: LanguageModel, prompt: Tensor = PROMPT, **arguments: object) -> TokenStream:
    stream = TokenStream(model, **{"sampling": Sampling(), "seed": 1, **arguments})  # type: ignore[arg-type]
    stream.feed(prompt)
    return stream


def written(model: LanguageModel, prompt: Tensor = PROMPT, count: int = 30, **arguments: object) -> list[list[int]]:
    return [ids.tolist() for ids in islice(begun(model, prompt, **arguments), count)]


def flat(state: object) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [tensor for part in state for tensor in flat(part)]  # type: ignore[attr-defined]


def test_greedy_is_the_argmax_of_the_whole_text_so_far() -> None:
    model = lstm(V).double()
    text = PROMPT.tolist()
    with torch.no_grad():
        for _ in range(30):
            logits, _ = model(torch.tensor(text).unsqueeze(1), model.initial_state(1))
            text.append(int(logits[-1, 0].argmax()))
    assert len(set(text[-20:])) > 1, "a text that tells something"
    assert written(model, sampling=GREEDY) == [[token] for token in text[len(PROMPT) :]]


@pytest.mark.parametrize("window", [1, 3, 7, 8])
def test_a_prompt_read_in_windows_is_the_prompt_read_at_once(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = lstm(V).double()
    whole = TokenStream(model, Sampling(), num_samples=2, seed=1)
    whole.feed(PROMPT)
    monkeypatch.setattr(sampler, "LONGEST_WINDOW", window)
    parts = TokenStream(model, Sampling(), num_samples=2, seed=1)
    parts.feed(PROMPT)
    for one, other in zip(flat(whole.state), flat(parts.state), strict=True):
        torch.testing.assert_close(one, other)
    assert [ids.tolist() for ids in islice(parts, 20)] == [ids.tolist() for ids in islice(whole, 20)]


def test_the_logits_of_a_window_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lstm(V)
    sizes: list[int] = []
    model.register_forward_hook(lambda module, inputs, output: sizes.append(output[0].numel()))
    monkeypatch.setattr(sampler, "_LOGITS_AT_ONCE", 5 * 4 * V)
    stream = TokenStream(model, Sampling(), num_samples=4, seed=1)
    stream.feed(torch.arange(100) % V)
    assert max(sizes) <= 5 * 4 * V
    assert sum(sizes) == 99 * 4 * V


def test_feeding_in_turns_is_feeding_at_once() -> None:
    model = lstm(V).double()
    for at in range(len(PROMPT) + 1):
        stream = TokenStream(model, Sampling(), seed=1)
        stream.feed(PROMPT[:at])
        stream.feed(PROMPT[at:])
        assert [ids.tolist() for ids in islice(stream, 10)] == written(model, count=10)


def test_what_was_written_is_read_before_what_is_fed_next() -> None:
    model = lstm(V).double()
    turns = TokenStream(model, GREEDY)
    turns.feed(PROMPT)
    first = torch.cat(list(islice(turns, 5)))
    turns.feed(PROMPT)
    at_once = TokenStream(model, GREEDY)
    at_once.feed(torch.cat([PROMPT, first, PROMPT]))
    assert [ids.tolist() for ids in islice(turns, 10)] == [ids.tolist() for ids in islice(at_once, 10)]


def test_a_state_is_continued() -> None:
    model = lstm(V).double()
    with torch.no_grad():
        _, state = model(PROMPT[:5].unsqueeze(1), model.initial_state(1))
    assert written(model, PROMPT[5:], state=state) == written(model)


def test_all_samples_are_written_in_one_batch() -> None:
    model = lstm(V)
    shapes: list[tuple[int, ...]] = []
    model.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(inputs[0].shape)))
    rows = list(zip(*written(model, num_samples=6), strict=True))
    assert shapes == [(len(PROMPT) - 1, 6)] + [(1, 6)] * 30
    assert len(set(rows)) == 6, "each sample is another text"


def test_the_samples_of_a_batch_do_not_see_each_other() -> None:
    model = lstm(V).double()
    assert written(model, sampling=GREEDY, num_samples=3) == [ids * 3 for ids in written(model, sampling=GREEDY)]


def test_the_same_seed_writes_the_same_and_a_longer_text_begins_like_a_shorter() -> None:
    model = lstm(V)
    assert written(model) == written(model)
    assert written(model, count=150)[:30] == written(model)
    assert written(model, seed=2) != written(model)
    assert written(model, seed=None) != written(model, seed=None)


def modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


def test_dropout_is_off_and_each_module_s_mode_stays_as_it_was() -> None:
    model = lstm(V, dropout=0.5)
    expected = written(model)
    model.train()
    model.head.eval()  # type: ignore[union-attr, operator]
    before = modes(model)
    assert written(model) == expected
    for _ in islice(begun(model), 3):
        assert modes(model) == before, "between two tokens, too"
    assert modes(model) == before


def test_the_mode_is_put_back_even_when_the_model_fails() -> None:
    model = lstm(V).train()
    with pytest.raises(IndexError):
        TokenStream(model, GREEDY).feed(torch.tensor([1, V + 5, 1]))
    assert all(modes(model).values())


def test_no_generator_is_touched() -> None:
    model = lstm(V, dropout=0.5).train()
    model.masks.seed(4)
    model(PROMPT.unsqueeze(1), model.initial_state(1))  # has drawn masks
    dropout, own = model.masks.state(), torch.get_rng_state()
    written(model, seed=None)
    assert torch.equal(torch.get_rng_state(), own)
    assert torch.equal(model.masks.state()["bits"], dropout["bits"])


@pytest.mark.parametrize("autocast", [False, True])
def test_sampling_in_the_middle_of_a_training_step_changes_none_of_its_gradients(autocast: bool) -> None:
    def gradients(sample: bool) -> list[Tensor]:
        model = lstm(V).train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            if sample:
                written(model)
            logits, _ = model(PROMPT.unsqueeze(1), model.initial_state(1))
            if sample:
                written(model)
            loss = nn.functional.cross_entropy(logits[:-1, 0], PROMPT[1:])
        loss.backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    undisturbed = gradients(False)
    assert len(undisturbed) == len(list(lstm(V).parameters()))
    for one, other in zip(undisturbed, gradients(True), strict=True):
        assert torch.equal(one, other)


def test_the_text_is_the_same_inside_an_autocast_context_as_outside() -> None:
    model = lstm(V)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = written(model)
    assert inside == written(model)


def test_mixed_precision_computes_in_the_type_asked_for() -> None:
    model = lstm(V)
    types: set[torch.dtype] = set()
    model.register_forward_hook(lambda module, inputs, output: types.add(output[0].dtype))
    assert len(written(model, autocast=torch.bfloat16)) == 30
    assert types == {torch.bfloat16}


@pytest.mark.parametrize("in_place", [True, False])
def test_nothing_is_compiled_for_single_tokens(in_place: bool) -> None:
    model = lstm(V)
    expected = written(model)
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    if in_place:
        model.compile(backend=backend)  # type: ignore[no-untyped-call]
    else:
        model.head = torch.compile(model.head, backend=backend)  # type: ignore[call-overload]
    with torch.no_grad():
        model.train()(PROMPT.unsqueeze(1), model.initial_state(1))
    compiled = len(graphs)
    assert compiled >= 1
    for mode in (True, False):
        assert written(model.train(mode)) == expected
    assert len(graphs) == compiled
    torch.compiler.reset()


def test_memory_does_not_grow_with_the_text() -> None:
    stream = TokenStream(lstm(V), Sampling(), seed=1)
    stream.feed(PROMPT)

    def numbers_held(tokens: int) -> int:
        for _ in islice(stream, tokens):
            pass
        gc.collect()
        return sum(thing.numel() for thing in gc.get_objects() if type(thing) is Tensor)

    numbers_held(64)
    assert numbers_held(64 * 2) == numbers_held(64 * 8)


def test_a_script_is_followed_by_a_model_of_another_kind() -> None:
    assert written(Scripted([2, 0, 1], 3), torch.tensor([0]), 5, sampling=GREEDY) == [[2], [0], [1], [2], [0]]


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="num_samples=0"):
        TokenStream(lstm(V), GREEDY, num_samples=0)
    with pytest.raises(ValueError, match="feed at least one"):
        written(lstm(V), torch.tensor([], dtype=torch.int64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_inside_a_training_step() -> None:
    model = lstm(V, dropout=0.2).cuda()
    expected = written(model, num_samples=2)
    model.train()
    generator = torch.cuda.get_rng_state()
    for _ in range(2):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            assert written(model, num_samples=2) == expected
            logits, _ = model(PROMPT.cuda().unsqueeze(1), model.initial_state(1))
        logits.float().sum().backward()
    assert torch.equal(torch.cuda.get_rng_state(), generator)
    assert all(parameter.grad is not None for parameter in model.parameters())
