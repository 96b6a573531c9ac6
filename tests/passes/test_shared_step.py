"""Copies of a net that take their training steps at once take the steps that each would take alone."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC
from vision_baselines.models.gated_mlp import GatedMLP
from vision_baselines.models.residual_mlp import ResidualMLP
from vision_baselines.optim.joint import Lookahead
from vision_baselines.optim.lion import Lion
from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.fitness import require_net
from vision_baselines.passes.step import Batch, Copy, SharedStep, Turn
from vision_baselines.seeding import seed_default_generator
from vision_baselines.tasks.binary import Binary
from vision_baselines.tasks.classification import Classification
from vision_baselines.tasks.task import Task

SHAPE = (1, 8, 8)
CPU = torch.device("cpu")
NETS: dict[str, Callable[[], nn.Module]] = {
    "fc": lambda: FC(SHAPE, 3, hidden_features=(9, 6), dropout=0.4),
    "fc without hidden layers": lambda: FC(SHAPE, 3, hidden_features=()),
    "cnn": lambda: CNN(SHAPE, 3, channels=(4, 6), hidden_features=8),
    "cnn with groups": lambda: CNN(
        SHAPE, 3, channels=(16, 32), norm="group", head="global_avg_pool", downsample="stride"
    ),
    "cnn with averages": lambda: CNN(SHAPE, 3, channels=(3,), norm="none", downsample="avg_pool", dropout=0.0),
    "residual": lambda: ResidualMLP(SHAPE, 3, hidden_features=8, num_blocks=2),
    "residual with layer norm": lambda: ResidualMLP(SHAPE, 3, hidden_features=8, num_blocks=2, norm="layer"),
    "gated": lambda: GatedMLP(SHAPE, 3),
    "torch's dropout": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 7), nn.Dropout(0.3), nn.GELU(), nn.Linear(7, 3)
    ),
}
OPTIMIZERS: dict[str, Callable[[Iterable[Tensor]], Optimizer]] = {
    "sgd": lambda own: torch.optim.SGD(own, lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True),
    "plain sgd": lambda own: torch.optim.SGD(own, lr=0.05),
    "adamw": lambda own: torch.optim.AdamW(own, lr=1e-3, fused=True),
    "lion": lambda own: Lion(own, lr=1e-3),
    "adadelta": lambda own: torch.optim.Adadelta(own),
    "lookahead": lambda own: Lookahead(torch.optim.SGD(own, lr=0.05), every=2, share=0.5),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class Pair:
    """A net that is trained alone, and a copy of it that is trained together with others."""

    seed: int
    alone: nn.Module
    optimizer: Optimizer
    together: Copy
    task: Task
    losses: list[float] = field(default_factory=list)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1000 * self.seed + step)
        images = torch.randn(12, *SHAPE, generator=generator, dtype=torch.float64)
        return images.to(memory_format=torch.channels_last), torch.randint(0, 2, (12,), generator=generator)

    def step_alone(self, step: int) -> float:
        seed_default_generator(77 * self.seed + step, CPU)
        loss = self.task.step(self.alone, self.batch(step)).loss
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def turn(self, step: int) -> Turn:
        return self.turns(step, 1)

    def turns(self, step: int, count: int) -> Turn:
        batches = [Batch(*self.batch(at), 77 * self.seed + at) for at in range(step, step + count)]
        return Turn(self.together, batches, at=step)


def pairs(net: str, optimizer: str, count: int = 3, task: Task | None = None) -> list[Pair]:
    found, make, task = [], OPTIMIZERS[optimizer], task or Classification(3)
    for seed in range(count):
        torch.manual_seed(seed)
        alone = NETS[net]().to(torch.float64).to(memory_format=torch.channels_last).train()
        own = copy.deepcopy(alone)
        together = Copy(own, task, make(own.parameters()), lambda parameters: make(parameters.values()))
        found.append(Pair(seed, alone, make(alone.parameters()), together, task))
    return found


def assert_same(pair: Pair, atol: float = 1e-9) -> None:
    # a bias before batch normalisation has a gradient of rounding alone, which some optimizers make large
    alone, together = pair.alone.state_dict(), pair.together.net.state_dict()
    loose = {name for name in alone if name.endswith((".0.bias", "running_mean")) and "features" in name}
    for name in alone.keys() - loose:
        torch.testing.assert_close(
            together[name], alone[name], atol=atol, rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


def train_both(trained: list[Pair], steps: int, atol: float) -> None:
    """Train every pair, and look whether the losses agree in each step."""
    shared = SharedStep()
    for step in range(steps):
        taken = shared.take({pair.seed: pair.turn(step) for pair in trained})
        for pair in trained:
            assert taken[pair.seed].losses.item() == pytest.approx(pair.step_alone(step), abs=atol)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_steps_at_once_are_those_of_single_runs(net: str, optimizer: str) -> None:
    trained = pairs(net, optimizer)
    train_both(trained, 5, atol=1e-10)
    for pair in trained:
        assert_same(pair)


@pytest.mark.slow
@pytest.mark.parametrize("net", ["fc", "cnn"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_fifty_steps_at_once_are_those_of_single_runs(net: str, optimizer: str) -> None:
    trained = pairs(net, optimizer)
    train_both(trained, 50, atol=1e-7)


@pytest.mark.parametrize("optimizer", sorted(set(OPTIMIZERS) - {"sgd", "adamw"}))
def test_every_optimizer_takes_its_own_steps(optimizer: str) -> None:
    trained = pairs("fc", optimizer)
    train_both(trained, 5, atol=1e-9)
    for pair in trained:
        assert_same(pair)


def test_a_copy_that_leaves_takes_its_state_along_and_one_that_comes_later_is_caught_up_with() -> None:
    trained, shared = pairs("cnn", "adamw", count=4), SharedStep()
    at = dict.fromkeys(range(4), 0)

    def turns(numbers: Iterable[int]) -> None:
        taken = shared.take({number: trained[number].turn(at[number]) for number in numbers})
        for number in taken:
            at[number] += 1

    for _ in range(3):
        turns([0, 1])  # 2 and 3 come three steps later, as runs resumed from an older state
    for _ in range(3):
        turns([0, 1, 2, 3])
    assert list(at.values()) == [3, 3, 3, 3]
    for _ in range(2):
        turns([0, 1, 2, 3])
    turns([0, 2, 3])  # 1 has ended
    for pair in trained:
        for step in range(at[pair.seed]):
            pair.step_alone(step)
        assert_same(pair)
    assert list(at.values()) == [6, 5, 6, 6]
    # the state that a checkpoint of one copy takes is that of its run alone
    mine, alone = trained[1].together.optimizer.state_dict(), trained[1].optimizer.state_dict()
    assert mine["param_groups"] == alone["param_groups"]
    for key, state in alone["state"].items():
        assert {name: value.shape for name, value in state.items()} == {
            name: value.shape for name, value in mine["state"][key].items()
        }
        assert mine["state"][key]["step"] == state["step"] == 5


@pytest.mark.parametrize("brought", [(3, 3, 3), (2, 5, 4), (1, 6, 2)])
@pytest.mark.parametrize("begins", [(0, 0, 0), (0, 2, 5), (4, 0, 1)])
def test_copies_bring_any_number_of_steps_and_wait_for_each_other(
    brought: tuple[int, ...], begins: tuple[int, ...]
) -> None:
    trained, shared = pairs("fc", "adamw"), SharedStep()
    at, moved = list(begins), [0, 0, 0]
    for seed, pair in enumerate(trained):
        pair.losses = [pair.step_alone(step) for step in range(begins[seed], 9)]

    def moves(seed: int) -> Callable[[], None]:
        def move_on() -> None:
            moved[seed] += 1

        return move_on

    found: list[list[float]] = [[], [], []]
    while left := [seed for seed in range(3) if at[seed] < 9]:
        turns = {
            seed: dataclasses.replace(
                trained[seed].turns(at[seed], min(brought[seed], 9 - at[seed])), after_step=moves(seed)
            )
            for seed in left
        }
        taken = shared.take(turns)
        behind = min(at[seed] for seed in left)
        assert taken.keys() == {seed for seed in left if at[seed] == behind}
        assert len({len(own.losses) for own in taken.values()}) == 1
        for seed, own in taken.items():
            assert len(own.outputs) == len(own.losses) <= len(turns[seed].batches)
            found[seed] += own.losses.tolist()
            at[seed] += len(own.losses)
        assert all(at[seed] <= at[other] for seed in taken for other in left if other not in taken)
    for seed, pair in enumerate(trained):
        assert found[seed] == pytest.approx(pair.losses, abs=1e-9)
        assert moved[seed] == 9 - begins[seed]
        assert_same(pair)


def test_steps_at_once_end_where_batches_are_of_other_sizes() -> None:
    trained, shared = pairs("fc", "sgd", count=2), SharedStep()
    turns = {pair.seed: pair.turns(0, 3) for pair in trained}
    last = turns[1].batches[2]
    turns[1] = Turn(turns[1].copy, [*turns[1].batches[:2], Batch(last.images[:5], last.target[:5], last.seed)], 0)
    assert [len(taken.losses) for taken in shared.take(turns).values()] == [2, 2]


@pytest.mark.parametrize(
    "task",
    [Classification(3), Classification(3, label_smoothing=0.2), Classification(3, class_weights=[1, 2, 0.5])],
    ids=["plain", "smoothed", "weighted"],
)
@pytest.mark.parametrize("shares", [False, True])
def test_losses_at_once_are_those_of_one_by_one(task: Classification, shares: bool) -> None:
    outputs = torch.randn(4, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = [torch.arange(6).add(seed) % 3 for seed in range(4)]
    if shares:
        targets = [nn.functional.one_hot(target, 3).double().mul(0.9).add(1 / 30) for target in targets]
    found = task.losses_of_copies(outputs, targets)
    if task.weight is not None:
        assert found is None
        return
    assert found is not None
    torch.testing.assert_close(found, torch.stack([task.loss(*own) for own in zip(outputs, targets, strict=True)]))
    assert Binary(2).losses_of_copies(outputs, targets) is None  # a loss of its own


def test_a_copy_whose_loss_is_no_number_leaves_the_others_as_they_are() -> None:
    trained, shared = pairs("cnn", "sgd"), SharedStep()
    for step in range(4):
        turns = {pair.seed: pair.turn(step) for pair in trained}
        if step == 1:
            [batch] = turns[1].batches
            turns[1] = Turn(turns[1].copy, [batch._replace(images=batch.images * float("nan"))], step)
        taken = shared.take(turns)
        for pair in (trained[0], trained[2]):
            pair.step_alone(step)
    assert not torch.isfinite(taken[1].losses)
    for pair in (trained[0], trained[2]):
        assert_same(pair)


def test_different_rates_are_kept_apart() -> None:
    trained, shared = pairs("fc", "adamw"), SharedStep()
    for step in range(4):
        if step == 2:
            for optimizer in (trained[1].optimizer, trained[1].together.optimizer):
                optimizer.param_groups[0]["lr"] = 0.01
        shared.take({pair.seed: pair.turn(step) for pair in trained})
        for pair in trained:
            pair.step_alone(step)
    for pair in trained:
        assert_same(pair)


def test_tasks_that_take_other_than_a_nets_outputs_are_the_same_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETS, "one logit", lambda: FC(SHAPE, 1, hidden_features=(5,)))
    trained = pairs("one logit", "sgd", task=Binary(2))
    train_both(trained, 3, atol=1e-9)
    for pair in trained:
        assert_same(pair)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = images.flatten(1)
        return self.layer(features if features.sum() > 0 else -features)


class Stacks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(128, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(torch.cat([images.flatten(1), images.flatten(1)], dim=1))


class Loose(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(64, 3), nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.flatten(1)) * self.scale


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (Branches(), "cannot be traced"),
        (Stacks(), "calls cat"),
        (Loose(), "outside of a layer"),
        (nn.Sequential(nn.Flatten(), nn.Bilinear(64, 64, 3)), "traced"),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(128, 3)),
            "circular",
        ),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.1), nn.Flatten(), nn.Linear(72, 3)), "given images"),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, momentum=None), nn.Linear(64, 3)), "without a momentum"),
    ],
)
def test_what_has_no_batched_form_is_refused_by_name(net: nn.Module, says: str) -> None:
    with pytest.raises(NotInOnePassError, match=says):
        require_net(net, SHAPE)


@pytest.mark.parametrize("net", NETS)
def test_nets_that_can_be_computed_at_once_are_taken_and_left_as_they_are(net: str) -> None:
    made = NETS[net]()
    before = copy.deepcopy(made.state_dict())
    require_net(made, SHAPE)
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())
