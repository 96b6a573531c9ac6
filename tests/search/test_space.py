"""What can be searched is read from Hydra's own words, and what no sampler knows is refused."""

from __future__ import annotations

import math

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from vision_baselines.config.search_options import check_can_search, check_search, objectives_of, seeds_of
from vision_baselines.errors import ConfigError
from vision_baselines.search.space import Parameter, space_of


def space(*texts):
    return space_of(OverridesParser.create().parse_overrides(list(texts)))


def one(text):
    [found] = space(text).parameters
    return found


KNOWN = {
    "a=interval(1,8)": FloatDistribution(1, 8),
    "a=int(interval(1,8))": IntDistribution(1, 8),
    "a=tag(log,interval(1e-4,1e-1))": FloatDistribution(1e-4, 1e-1, log=True),
    "a=tag(log,int(interval(1,128)))": IntDistribution(1, 128, log=True),
    "a=range(1,10,3)": IntDistribution(1, 7, step=3),
    "a=range(10,1,-3)": IntDistribution(4, 10, step=3),
    "a=shuffle(range(1,4))": IntDistribution(1, 3),
    "a=tag(log,range(1,9))": IntDistribution(1, 8, log=True),
    "a=range(0.1,0.5,0.1)": FloatDistribution(0.1, 0.4, step=0.1),
    "a=float(range(1,4))": FloatDistribution(1, 3, step=1),
    "a=choice([16,32],[32,64])": CategoricalDistribution(("[16,32]", "[32,64]")),
    "a=1,2,1": CategoricalDistribution(("1", "2")),
    "a='x,y',null,true": CategoricalDistribution(("'x,y'", "null", "True")),
    "+a=choice({b:1},{b:2})": CategoricalDistribution(("{b:1}", "{b:2}")),
}


@pytest.mark.parametrize("text", KNOWN)
def test_hydras_words_are_optunas_distributions(text):
    assert one(text).distribution() == KNOWN[text]


REFUSED = {
    "a=interval(0,inf)": "between two numbers",
    "a=interval(2,1)": "the smaller first",
    "a=interval(nan,1)": "between two numbers",
    "a=tag(log,interval(0,1))": "starts above 0, and this starts at 0",
    "a=tag(log,interval(-1,1))": "starts above 0, and this starts at -1",
    "a=tag(log,range(1,9,2))": "a logarithmic range has no step",
    "a=tag(log,range(0.1,1,0.1))": "a logarithmic range has no step",
    "a=tag(log,choice(1,2))": "the values of a list have no order",
    "a=tag(lin,interval(1,2))": "the tag lin says nothing to a sampler",
    "a=range(5,1)": "has no value",
    "a=range(0,1e9)": "more than a million values",
    "seed=0,1": "is chosen by the search",
    "seed=3": "is chosen by the search",
    "data.split_seed=1,2": "a matter of chance",
    "data.fold=range(0,5)": "a matter of chance",
    "name=a,b": "changes no result",
    "n_jobs=1,2": "changes no result",
    "~a=1,2": "cannot be searched",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_searched_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match=REFUSED[text]) as error:
        space(text, "b=1,2")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("texts", [("a=1",), ("a=choice(3)",), ("a=interval(2,2)", "b=range(1,2)")])
def test_a_search_needs_something_to_search(texts):
    with pytest.raises(ConfigError, match="has nothing to search"):
        space(*texts)


def test_one_value_is_fixed():
    found = space("a=interval(2,2)", "b=range(1,2)", "c=choice([1])", "d=x", "e=1,2")
    assert found.fixed == ("a=2.0", "b=1", "c=[1]", "d=x")
    assert [parameter.key for parameter in found.parameters] == ["e"]


def test_a_key_is_given_once():
    with pytest.raises(ConfigError, match="a is given twice"):
        space("a=1", "a=1,2")


def test_a_group_may_be_a_glob():
    class Loader:
        def get_group_options(self, group, results_filter=None):
            return ["cnn", "fc", "linear"]

    parsed = OverridesParser.create(config_loader=Loader()).parse_overrides(["model=glob(*,exclude=lin*)"])
    assert space_of(parsed).parameters == (Parameter("model", choices=("cnn", "fc")),)


@given(
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
    is_log=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_what_is_drawn_is_short_inside_the_bounds_and_parsed_as_it_was_written(low, width, is_log, seed):
    low = abs(low) + 1e-6 if is_log else low
    parameter = Parameter("x", low=low, high=low + width, is_log=is_log)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    drawn = study.ask({"x": parameter.distribution()}).params["x"]
    value = parameter.rounded(drawn)
    assert low <= value <= low + width
    assert abs(value - drawn) <= 1e-3 * (drawn if is_log else width)
    assert parameter.rounded(value) == value
    [override] = OverridesParser.create().parse_overrides([parameter.override(value)])
    assert override.value() == value


@pytest.mark.parametrize("text", [text for text in KNOWN if "interval" not in text and "log" not in text])
def test_a_grid_has_every_value_once(text):
    found = one(text)
    values = found.grid()
    parsed = OverridesParser.create().parse_override(text)
    assert {str(value) for value in values} == {
        f"{value:.12g}" if isinstance(value, float) and not float(value).is_integer() else str(value)
        for value in (parsed.sweep_string_iterator() if found.choices else map(_short, parsed.sweep_iterator()))
    }
    assert len(values) == len(set(values))


def _short(value):
    return float(f"{value:.12g}") if isinstance(value, float) else value


OPTIONS = {
    "trials": (0, -1, 1.5, "many", True),
    "seeds": (0, -1, [], [1, 1], "3", [0.5], None, True),
    "objectives": ([], ["test/acc"], "test/loss", ["acc"], ["val/"], ["parameters"], ["val/acc", "val/acc"], 3, [1]),
    "sampler": ("cmaes", None, 3),
    "sampler_seed": (-1, None, 2**32),
    "pruner": ("hyperband", 3),
    "parallel": (0, "all"),
    "trial": (-1, "x"),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in OPTIONS.items() for value in values])
def test_an_option_that_cannot_be_is_refused(key, value):
    with pytest.raises(ConfigError, match=rf"search\.{key}") as error:
        check_search({"search": {key: value}})
    assert "\n" not in str(error.value)


def test_options_that_exclude_each_other_are_refused():
    for options, says in (
        ({"objectives": ["val/acc", "parameters"], "pruner": "median"}, "nothing is pruned"),
        ({"seeds": 4, "pruner": "wilcoxon"}, "search.seeds=5 or more"),
    ):
        with pytest.raises(ConfigError, match=says):
            check_search({"search": options})
    check_search({"search": {"seeds": 5, "pruner": "wilcoxon"}})
    check_search({})
    with pytest.raises(ConfigError, match="search is 3"):
        check_search({"search": 3})


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"data": {"val_size": 0}}, "leaves no image"),
        ({"data": {"folds": 5}}, "data.folds=null"),
        ({"comparison": {"chance_level": "uniform"}}, "nothing to find"),
        ({"comparison": {"select": "val/acc"}, "search": {"objectives": ["val/loss"]}}, "leave comparison.select out"),
        (
            {"comparison": {"fresh_seeds": 3}, "search": {"objectives": ["val/acc", "parameters"]}},
            "that choice is yours",
        ),
    ],
)
def test_a_search_that_could_choose_nothing_is_refused(config, says):
    with pytest.raises(ConfigError, match=says):
        check_can_search(config)


def test_test_metrics_are_no_objective_and_the_reason_is_said():
    with pytest.raises(ConfigError, match="chosen by its test metric has no honest test metric"):
        objectives_of({"objectives": ["val/acc", "test/acc"]})
    assert objectives_of({"objectives": "val/loss"}) == ["val/loss"]
    assert seeds_of({"seeds": 2}) == [0, 1]
    assert math.isclose(Parameter("p", low=0.0, high=1.0).rounded(0.0), 0.0)
