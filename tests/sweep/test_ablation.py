"""``ablate``: what may be typed, which jobs it makes, and what is refused before any job starts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from hydra_plugins.vision_baselines_local import PairedSweeper
from vision_baselines.cli.command_line import ordered
from vision_baselines.cli.messages import one_line
from vision_baselines.comparison.ablation import read_ablation
from vision_baselines.config.ablation import check_ablate, parsed_ablate
from vision_baselines.config.compose import composed
from vision_baselines.config.hydra_part import check_hydra
from vision_baselines.errors import ConfigError
from vision_baselines.sweep.ablation import PartsThatMatter
from vision_baselines.sweep.around import AroundRuns
from vision_baselines.sweep.callback import SweepCallback

TWO = {"dropout": "model.dropout=0", "norm": ["model.norm=none", "+model.bias=true"]}


class Sweep:
    """The paired sweeper of a folder, without Hydra's set-up of plugins."""

    def __init__(self, folder, ablate, groups=(), **config):
        self.folder, self.around = folder, AroundRuns()
        self.sweeper = PairedSweeper.__new__(PairedSweeper)
        self.sweeper.groups, self.sweeper.runs = [list(group) for group in groups], self.around
        self.sweeper.launcher = SimpleNamespace(checks_jobs=True)
        self.sweeper.hydra_context = SimpleNamespace(config_loader=None)
        content = {"ablate": ablate, "preview": False, "comparison": {}, "hydra": {"sweep": {"dir": str(folder)}}}
        self.sweeper.config = OmegaConf.create({**content, **config})

    def jobs(self, *typed):
        words = OverridesParser.create().parse_overrides(list(typed))
        return self.sweeper.split_arguments(words, None)[0]

    def run(self, *typed, fails=None):
        def sweep():
            jobs = self.jobs(*typed)
            if fails is not None:
                raise fails
            return jobs

        return self.around.around(sweep, launch=None, config=self.sweeper.config, hydra_context=None)


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(SweepCallback, "current", None)
    return lambda ablate, groups=(), **config: Sweep(tmp_path / "outputs" / "demo", ablate, groups, **config)


@pytest.mark.parametrize(
    ("value", "parts", "switches"),
    [
        ({"a": "x=0"}, {"a": ("x=0",)}, (False, False)),
        ({"a": ["x=0", "~y"], "b": "z=1", "pairs": True, "all": False}, {"a": ("x=0", "~y"), "b": ("z=1",)},
         (True, False)),
        (["model.dropout=0", "augment=none", "all"], {"dropout": ("model.dropout=0",), "augment": ("augment=none",)},
         (False, True)),
        (["a.x=0", "b.x=0"], {"a.x": ("a.x=0",), "b.x": ("b.x=0",)}, (False, False)),
        ("model.dropout=0", {"dropout": ("model.dropout=0",)}, (False, False)),
        ({"a": "x=0", "b": None}, {"a": ("x=0",)}, (False, False)),  # null takes a part of an experiment away
        ({"my part 2": "x=[1,2]"}, {"my part 2": ("x=[1,2]",)}, (False, False)),
    ],
)  # fmt: skip
def test_parts_are_named_or_named_after_their_key(value, parts, switches):
    found = parsed_ablate(value)
    assert (dict(found.parts), (found.pairs, found.all)) == (parts, switches)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "ablate is 3"),
        ({}, "names no part"),
        ([], "names no part"),
        ({"pairs": True}, "names no part"),
        ({"a": 3}, "ablate.a is 3"),
        ({"a": []}, r"ablate.a is \[\]"),
        ({"a": ["x=0", 3]}, "ablate.a is 3"),
        ({"a": "dropout"}, "ablate.a is 'dropout'"),
        ({"a": "=0"}, "ablate.a is '=0'"),
        ({"a": {"b": "x=0"}}, "ablate.a is "),
        ({"a,b": "x=0"}, "a part called 'a,b'"),
        ({"": "x=0"}, "a part called ''"),
        ({"<b>": "x=0"}, "a part called '<b>'"),
        ({"a" * 41: "x=0"}, "has 41 characters, 'a+'; expected at most 40"),
        ({True: "x=0"}, "a part whose name is read as True"),
        ({None: "x=0"}, "a part whose name is read as None"),
        ({" ": "x=0"}, "a part called ' '"),
        ("{a: x=0}", r"ablate is '\{a: x=0\}'; expected parts"),
        ("[x=0]", r"ablate is '\[x=0\]'; expected parts"),
        (["x=0", "dropout"], "ablate has 'dropout'; expected the override that leaves a part out"),
        (["x=0", 3], "ablate has 3; expected"),
        (["seed=3"], "ablate sets seed, which is chance"),
        ({"a": "x=0", "pairs": 1}, "ablate.pairs is 1"),
        ({"a": "x=0", "b": "y=0", "all": "x=0"}, "ablate.all is 'x=0'"),
        ({"a": "x=0", "pairs": True}, "needs two parts at least, and there is one: a"),
        ({"a": "x=0", "all": True}, "needs two parts at least, and there is one: a"),
        ({"a": "x=0", "b": "x=1"}, "ablate.a and ablate.b both set x; a key belongs to one part"),
        ({"a": "x=0", "b": "++x=0"}, "ablate.a and ablate.b both set x; a key belongs to one part"),
        ({"a": ["x=0", "x=1"]}, "ablate.a sets x twice; give it one value"),
        (["x=0", "x=1"], "ablate sets x in two parts"),
        ({"a": "seed=3"}, "is chance and no part"),
        ({"a": "data.fold=3"}, "is chance and no part"),
        ({"a": "name=x"}, "cannot change a result"),
        ({"a": "hydra.run.dir=x"}, "cannot change a result"),
        ({"a": "trainer.enable_progress_bar=false"}, "cannot change a result"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_refused_in_a_line(value, said):
    with pytest.raises(ConfigError, match=said) as raised:
        check_ablate({"ablate": value})
    assert "\n" not in str(raised.value)


def test_each_kind_of_run_spans_a_grid_with_what_else_is_swept(sweep):
    jobs = sweep({**TWO, "pairs": True}).jobs("model=cnn,fc", "seed=0,1", "name=demo")
    norm = ("model.norm=none", "+model.bias=True")  # as Hydra writes it
    kinds = [(), ("model.dropout=0",), norm, ("model.dropout=0", *norm)]
    grid = [(f"model={model}", f"seed={seed}", "name=demo") for model in ("cnn", "fc") for seed in (0, 1)]
    assert jobs == [[*shared, *kind] for kind in kinds for shared in grid]


def test_a_job_is_told_nothing_of_the_ablation_and_is_the_job_of_a_grid(sweep):
    typed = ["seed=0", "++ablate.pairs=true", 'ablate={dropout: "model.dropout=0"}']
    assert sweep({"dropout": "model.dropout=0"}).jobs(*typed) == [["seed=0"], ["seed=0", "model.dropout=0"]]
    assert sweep(None).jobs("seed=0", "ablate=null") == [["seed=0"]]


def test_groups_of_the_sweep_each_lose_their_parts(sweep):
    found = sweep({"dropout": "model.dropout=0"}, [["model=a", "x=1,2"], ["model=b"]])
    assert found.jobs("seed=0") == [
        ["seed=0", "model=a", "x=1"], ["seed=0", "model=a", "x=2"],
        ["seed=0", "model=a", "x=1", "model.dropout=0"], ["seed=0", "model=a", "x=2", "model.dropout=0"],
        ["seed=0", "model=b"], ["seed=0", "model=b", "model.dropout=0"],
    ]  # fmt: skip


def test_what_the_full_run_was_given_stands_in_the_file(sweep):
    found = sweep({"dropout": "model.dropout=0", "x": "~callbacks.x"}, all=True)
    jobs = found.run("model.dropout=0.5", "model.dropout=0.3", "model=cnn,fc", "seed=0,1", "notes=x")
    told = read_ablation(found.folder)
    assert [(part.name, part.without, part.full) for part in told.parts] == [
        ("dropout", ["model.dropout=0"], ["model.dropout=0.3"]), ("x", ["~callbacks.x=null"], [])
    ]  # fmt: skip
    assert told.settings == [["model=cnn"], ["model=fc"]]
    places = [told.place_of(job) for job in jobs]
    assert [sorted(place[1]) for place in places] == [[]] * 4 + [["dropout"]] * 4 + [["x"]] * 4
    sweep({"dropout": "model.dropout=0", "x": "~callbacks.x"}).run("model.dropout=0.3", "model=big", "seed=0")
    assert read_ablation(found.folder).settings == [["model=cnn"], ["model=fc"], ["model=big"]]  # one more of the same
    sweep({"dropout": "model.dropout=0.1"}).run("seed=0")
    assert read_ablation(found.folder).settings == [[]]  # another question


@pytest.mark.parametrize(
    ("ablate", "groups", "typed", "said"),
    [
        ({"a": "x=0"}, [], ["x=1,2"], "ablate.a leaves out x, which is swept too"),
        ({"a": "x=0"}, [], ["x=range(3)"], "ablate.a leaves out x, which is swept too"),
        ({"a": "x=0"}, [], ["+x=glob(*)"], "ablate.a leaves out x, which is swept too"),
        ({"a": "x=0"}, [["x=1"], ["x=2"]], [], "ablate.a leaves out x, which hydra.sweeper.groups set to several"),
        ({"a": "x=0"}, [["x=1"], ["y=2"]], [], "ablate.a leaves out x, which hydra.sweeper.groups set to several"),
        ({"a": "x=0"}, [], ["x=0"], "changes nothing: the full run has it already"),
        ({"a": ["x=0", "y=1"]}, [["y=1"]], ["x=0"], "changes nothing: the full run has it already"),
        ({"a": "x=0,1"}, [], [], "a part is left out in one way"),
        ({"a": "x=[0,1"}, [], [], "ablate.a is 'x=.0,1', which Hydra cannot read"),
        ({"a": "x=0"}, [], ["ablate={a: b},{a: c}"], "ablate has several values"),
        (None, [], ["ablate={a: b},{a: c}"], "ablate has several values"),
    ],
)  # fmt: skip
def test_what_cannot_be_left_out_is_refused_and_leaves_nothing(sweep, ablate, groups, typed, said):
    found = sweep(ablate, groups)
    with pytest.raises(ConfigError, match=said) as raised:
        found.run(*typed, "seed=0,1")
    assert "\n" not in str(raised.value)
    assert not found.folder.exists()


def test_fresh_seeds_of_what_chooses_nothing_are_refused(sweep):
    found = sweep({"dropout": "model.dropout=0"}, comparison={"fresh_seeds": 2})
    with pytest.raises(ConfigError, match=r"leaves comparison\.fresh_seeds no choice"):
        found.run("seed=0,1")
    assert not found.folder.exists()


def plan(overrides, **settings):
    return SimpleNamespace(overrides=tuple(overrides), resolved={"seed": 0, **settings})


def test_a_part_whose_absence_changes_nothing_is_refused():
    parts = PartsThatMatter({"dropout": ["model.dropout=0"], "norm": ["model.norm=none"]})
    parts.add(plan(["seed=0"], model={"dropout": 0.0, "norm": "batch"}))
    parts.add(plan(["seed=0", "model.norm=none"], model={"dropout": 0.0, "norm": "none"}))
    parts.add(plan(["seed=1", "model.dropout=0"], model={"dropout": 0, "norm": "batch"}))
    parts.require()  # of another seed: nothing to compare with
    parts.add(plan(["seed=0", "model.dropout=0"], model={"dropout": 0, "norm": "batch"}))
    with pytest.raises(ConfigError, match=r"ablate\.dropout is model\.dropout=0, which changes nothing: the run"):
        parts.require()


@pytest.mark.parametrize("wanted", ["foo", "model.dropout=1", "model=a, model=b", "'foo'"])
@pytest.mark.parametrize("group_by", [None, "model", ["model"]])
def test_a_baseline_that_no_job_is_of_is_refused_once_all_jobs_are_known(tmp_path, wanted, group_by):
    def found(baseline):
        parts = PartsThatMatter({"dropout": ["model.dropout=0"]}, baseline, group_by, tmp_path / "demo")
        for model in ("a", "b"):
            for more in ([], ["model.dropout=0"]):
                texts = [f"model={model}", *more, "seed=0"]
                parts.add(SimpleNamespace(
                    overrides=texts, resolved={"model": texts}, config={"model": model}, fingerprint=str(texts),
                    folder=tmp_path / "demo" / ",".join(texts),
                ))  # fmt: skip
        return parts

    found("model=a" if group_by else "model=a, model.dropout=0").require()
    with pytest.raises(ConfigError, match=r"^baseline=.* names nothing in these records; there is: ") as raised:
        found(wanted).require()
    assert "model=a" in str(raised.value)


def test_a_part_that_is_gone_with_another_is_refused_where_both_are_left_out():
    parts = PartsThatMatter({"hidden": ["model=linear"], "norm": ["model.norm=none"]})
    for lacking, settings in {
        (): {"model": "cnn", "norm": "batch"},
        ("model=linear",): {"model": "linear"},
        ("model.norm=none",): {"model": "cnn", "norm": "none"},
        ("model=linear", "model.norm=none"): {"model": "linear"},
    }.items():
        parts.add(plan(["seed=0", *lacking], model=settings))
    with pytest.raises(ConfigError, match=r"ablate\.norm is .* changes nothing where hidden is left out"):
        parts.require()


def test_a_sweep_that_is_refused_puts_the_file_back_and_one_that_ran_keeps_it(sweep, monkeypatch):
    first = sweep({"dropout": "model.dropout=0"})
    first.run("seed=0")
    before = (first.folder / "ablation.json").read_bytes()
    with pytest.raises(ConfigError):
        sweep({"norm": "model.norm=none"}).run("seed=0", fails=ConfigError("a job cannot be run"))
    assert (first.folder / "ablation.json").read_bytes() == before
    monkeypatch.setattr(SweepCallback, "current", SimpleNamespace(has_run=True))
    with pytest.raises(KeyboardInterrupt):
        sweep({"norm": "model.norm=none"}).run("seed=0", fails=KeyboardInterrupt())
    assert (first.folder / "ablation.json").read_bytes() != before


def test_a_preview_writes_nothing_and_a_list_of_jobs_has_the_file(sweep, capsys):
    found = sweep(TWO, preview=True)
    found.run("seed=0")
    assert not found.folder.exists()
    assert "without norm: model.norm=none, +model.bias=True" in capsys.readouterr().out
    found = sweep(TWO, list=True)
    found.run("seed=0")
    assert [part.name for part in read_ablation(found.folder).parts] == ["dropout", "norm"]


@pytest.mark.parametrize(
    ("typed", "quoted"),
    [
        ("ablate={a: x=0}", 'ablate={a: "x=0"}'),
        ("ablate={a: x=0, b: [y.z=none,~u], pairs: true}", 'ablate={a: "x=0", b: ["y.z=none","~u"], pairs: true}'),
        ("ablate={a: x=[0, 1], b: y={c: 1}}", 'ablate={a: "x=[0, 1]", b: "y={c: 1}"}'),
        ("ablate=[x=0,++y=1]", 'ablate=["x=0","++y=1"]'),
        ("ablate=x=0", 'ablate="x=0"'),
        ("ablate.a=x=0", 'ablate.a="x=0"'),
        ("++ablate.a=[x=0,y=1]", '++ablate.a=["x=0","y=1"]'),
        ("ablate={a: \"x=0\", b: 'y=1, z=2'}", "ablate={a: \"x=0\", b: 'y=1, z=2'}"),
        ('ablate={a: x="q"}', 'ablate={a: "x=\\"q\\""}'),
        ("ablate=null", "ablate=null"),
        ("ablate.pairs=true", "ablate.pairs=true"),
    ],
)
def test_overrides_inside_are_quoted_for_hydra(typed, quoted):
    assert ordered(["-m", typed]) == ["-m", quoted]
    OverridesParser.create().parse_override(quoted)


@pytest.mark.parametrize("name", ["a", "my part", "a-b+c.d", "3", "pairs"])
@pytest.mark.parametrize("key", ["ablate", "++ablate"])
@pytest.mark.parametrize("between", [", ", ",", ", other: z=0, ", ", all: true, "])
def test_a_name_that_is_typed_twice_is_refused(name, key, between):
    with pytest.raises(ConfigError, match=f"^ablate has the name {re.escape(name)} twice") as raised:
        ordered(["-m", f"{key}={{{name}: model.dropout=0{between}{name} : [x=0,y=[1,2]]}}"])
    assert "\n" not in str(raised.value)


def test_names_are_counted_in_each_dictionary_of_its_own():
    ordered(["-m", "ablate={a: x=0, b: x={a: 1}}", "+z=[{a: 1}, {a: 2}]", "y={a: {a: 1}, b: {a: 1}}"])
    with pytest.raises(ConfigError, match=r"^\+?z has the name a twice"):
        ordered(["-m", "+z=[{b: {a: 1, a: 1}}]"])


@pytest.mark.parametrize("name", ["ünïcödé 🎉", "aü: x=0, aé", '"<b>x</b>"', '""', '" "', "' '", "a]"])
def test_a_name_that_cannot_be_typed_is_refused_with_what_can_be(name):
    [_, word] = ordered(["-m", f"ablate={{{name}: model.dropout=0}}"])
    with pytest.raises(HydraException) as raised:
        OverridesParser.create().parse_overrides([word])
    said = str(one_line(raised.value, Path("conf")))
    assert "a name that is typed has letters from a to z" in said
    assert "an experiment's file" in said
    assert "quotes inside quotes" not in said
    assert "ablate." not in said  # no part that was not written


def test_a_single_run_leaves_nothing_out():
    with pytest.raises(ConfigError, match="it goes with -m"):
        ordered(["ablate={a: x=0}"])
    assert ordered(["experiment=x", "ablate=null"]) == ["experiment=x", "ablate=null"]


def test_a_sweeper_that_would_not_heed_it_is_refused():
    typed = ["hydra/sweeper=basic", '++ablate={a: "model.dropout=0"}']
    with pytest.raises(ConfigError, match="ablate is set; hydra/sweeper=paired and until_decided heed it"):
        check_hydra(composed(typed, with_hydra=True), typed, [])


@pytest.mark.slow
@pytest.mark.ci
def test_an_ablation_from_the_command_line_leaves_the_runs_of_a_grid_and_its_table(cli, tiniest, tmp_path):
    words = ["-m", "name=parts", *tiniest, "seed=0"]
    done = cli(*words, "ablate={dropout: model.dropout=0}")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "outputs" / "parts"
    assert "dropout cannot be judged: it takes at least 3 seeds" in " ".join(done.stdout.split())
    overrides = [json.loads(path.read_text())["overrides"] for path in folder.glob("*/run.json")]
    assert sorted("model.dropout=0" in texts for texts in overrides) == [False, True]
    assert not any("ablate" in text for texts in overrides for text in texts)
    grid = cli(*words, "model.dropout=0")  # a run of a grid, the same one
    assert "1 of 1 jobs are finished already" in grid.stdout
    assert "dropout cannot be judged" in grid.stdout  # what was asked of the folder stands in it
