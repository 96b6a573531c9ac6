"""What a page may say of kept figures: numbers as written elsewhere, and claims that their intervals support."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace

import pytest
from publishing.figures import _whole_points, compact
from publishing.page import CURVES, PAGE, RESULTS, rendered
from publishing.pictures import SHOWN, keep_picture
from publishing.results import ClaimError, Results, Run, read
from scipy import stats

from vision_baselines.analysis.statistics import paired_difference, summarize
from vision_baselines.comparison.control import share_interval
from vision_baselines.evaluation.receipt import read_receipt
from vision_baselines.runs.cost import busy_s
from vision_baselines.runs.record import Curve, Timings
from vision_baselines.tasks.names import ACCURACY

KEPT = sorted(path.stem for path in RESULTS.glob("*.json"))
METRIC = f"test/{ACCURACY}"


def results(groups, **own):
    """An experiment of groups with a value for each seed."""
    runs = [
        Run(group, seed, {METRIC: value}, [{METRIC: value / 2}], 12345, 2_000_000, 8, 3.2 + seed)
        for group, values in groups.items()
        for seed, value in enumerate(values)
    ]
    facts = {"name": "made", "receipt_sha256": "", "commit": "", "cpu": "", "cost_s": 100.0, "metric": METRIC}
    return Results(**facts | own, runs=tuple(runs))


def noisy(mean, seed, n=10, std=0.01):
    draw = random.Random(seed)
    return [draw.gauss(mean, std) for _ in range(n)]


def test_numbers_are_means_and_deviations_over_seeds():
    made = results({"model=cnn": [0.9, 0.92, 0.94], "model=fc": [0.8, 0.8, 0.83]})
    assert made.mean("model=cnn") == "92.00 % ± 2.00"
    assert made.bare("model=cnn") == "92.00 ± 2.00"
    assert made.bare("model=cnn", epoch=0) == "46.00 ± 1.00"
    assert made.value("model=fc", 2) == "83.00 %"
    found = summarize([0.9, 0.92, 0.94])
    assert made.interval("model=cnn") == f"[{found.ci_low * 100:.2f}, {found.ci_high * 100:.2f}]"
    assert (made.parameters("model=fc"), made.mflops("model=fc"), made.sees("model=fc")) == ("12,345", "2.0", "8 px")
    assert (made.seeds, made.minutes, made.fit_s("model=cnn")) == (3, "100 s", "4")


@pytest.mark.parametrize(("flops", "said"), [(5_120, "0.005"), (96_000, "0.1"), (277_129_216, "277.1")])
def test_operations_of_a_small_net_are_more_than_none(flops, said):
    made = results({"a=1": [0.9, 0.8]})
    assert replace(made, runs=tuple(replace(run, flops=flops) for run in made.runs)).mflops("a=1") == said


def test_an_interval_ends_where_the_metric_does():
    assert results({"a=1": [1.0, 0.999, 0.98]}).interval("a=1").endswith(", 100.00]")


@pytest.mark.parametrize("claims", [1, 2, 7])
def test_the_intervals_of_all_claims_hold_together(claims):
    one, other = noisy(0.9, 1), noisy(0.8, 2)
    said = results({"a=1": one, "a=2": other}, claims=claims).claim("a=1", "a=2", "above")
    pairs = dict(enumerate(one)), dict(enumerate(other))
    found = paired_difference(*pairs, confidence=1 - 0.05 / claims)
    half = found.standard_error * stats.t.ppf(1 - 0.025 / claims, 9)
    assert found.ci_high - found.mean == pytest.approx(half)
    assert said == f"+{100 * found.mean:.2f} points [{100 * found.ci_low:.2f}, {100 * found.ci_high:.2f}]"


@pytest.mark.parametrize("seed", range(8))
def test_a_sentence_must_say_what_its_interval_says(seed):
    gap = random.Random(seed).choice([-0.05, 0.0, 0.05])
    one, other = noisy(0.9 + gap, seed), noisy(0.9, seed + 100)
    made = results({"a=1": one, "a=2": other}, claims=1)
    found = paired_difference(dict(enumerate(one)), dict(enumerate(other)))
    right = {"larger": "above", "smaller": "below"}.get(found.conclusion, "undecided")
    made.claim("a=1", "a=2", right)
    for wrong in {"above", "below", "undecided"} - {right}:
        with pytest.raises(ClaimError, match=f"a=1 − a=2 is {right}, not {wrong}"):
            made.claim("a=1", "a=2", wrong)


def test_a_claim_that_holds_alone_may_not_hold_among_many():
    one, other = [0.90, 0.92, 0.91, 0.93, 0.90], [0.89, 0.90, 0.90, 0.91, 0.89]
    assert results({"a=1": one, "a=2": other}, claims=1).claim("a=1", "a=2", "above")
    with pytest.raises(ClaimError, match="undecided, not above"):
        results({"a=1": one, "a=2": other}, claims=20).claim("a=1", "a=2", "above")


def test_an_interaction_is_the_difference_of_differences():
    made = results(
        {"a=1": [0.9, 0.91, 0.93], "a=2": [0.8, 0.8, 0.81], "a=3": [0.7, 0.72, 0.7], "a=4": [0.7, 0.7, 0.71]}
    )
    made.claims = 1
    differences = [
        (a - c) - (b - d)
        for a, b, c, d in zip([0.9, 0.91, 0.93], [0.8, 0.8, 0.81], [0.7, 0.72, 0.7], [0.7, 0.7, 0.71], strict=True)
    ]
    assert made.claim("a=1", "a=2", "above", of="a=3/a=4").startswith(f"+{100 * sum(differences) / 3:.2f} points")


@pytest.mark.parametrize(("share", "right"), [(0.1, "at chance"), (0.11, "at chance"), (0.2, "above"), (0.02, "below")])
def test_a_control_must_lie_to_chance_as_is_said(share, right):
    made = results({"a=1": [share] * 3}, test_images=1_000, classes=10)
    low, high = share_interval(share, 1_000)
    assert made.against_chance("a=1", right) == f"[{100 * low:.2f}, {100 * high:.2f}]"
    for wrong in {"at chance", "above", "below"} - {right}:
        with pytest.raises(ClaimError, match=f"a=1 is {right}, not {wrong}"):
            made.against_chance("a=1", wrong)


def test_a_claim_may_compare_two_metrics_of_one_group():
    made = results({"a=1": noisy(0.9, 1)}, claims=1)
    for run in made.runs:
        run.metrics["test/other"] = run.metrics[METRIC] - 0.1 + 0.001 * run.seed
    assert made.claim("a=1", "a=1", "above", METRIC, than="test/other").startswith("+9.55 points")


def test_a_claim_may_be_of_an_epoch():
    made = results({"a=1": noisy(0.9, 1), "a=2": noisy(0.8, 2)}, claims=1)
    assert made.claim("a=1", "a=2", "above", epoch=0) != made.claim("a=1", "a=2", "above")
    assert len(made.made) == 2
    with pytest.raises(ClaimError, match="has no"):
        made.claim("a=1", "a=2", "above", epoch=1)


@pytest.mark.parametrize("group", ["model=nope", "", "model=cnn, model.norm=group"])
def test_a_group_that_is_none_or_several_is_named_with_those_there_are(group):
    made = results({"model=cnn, model.norm=batch": [0.9, 0.8], "model=cnn, model.norm=none": [0.9, 0.8]})
    with pytest.raises(ClaimError, match=r"there are: model=cnn, model\.norm=batch; model=cnn, model\.norm=none"):
        made.mean(group)
    assert made.mean("model.norm=none")


def test_a_metric_that_was_not_measured_is_refused_with_those_that_were():
    with pytest.raises(ClaimError, match=f"has no test/nope; it has: {METRIC}"):
        results({"a=1": [0.5, 0.6]}).mean("a=1", "test/nope")


def test_a_figure_may_be_of_a_point_of_a_curve():
    made = results({"a=1": noisy(0.9, 1), "a=2": noisy(0.8, 2)}, claims=1)
    for run in made.runs:
        run.curves["depth/activation"] = {"0": 0.5, "5": run.value(METRIC) / 3}  # type: ignore[index]
    assert made.bare("a=1", "depth/activation@0") == "0.5000 ± 0.0000"
    mean = summarize([value / 3 for value in noisy(0.9, 1)]).mean
    assert made.mean("a=1", "depth/activation@5").startswith(f"{mean:.4f}")
    assert made.claim("a=1", "a=2", "above", "depth/activation@5").startswith("+0.03")
    for missing in ("depth/activation@7", "depth/nope@0"):
        with pytest.raises(ClaimError, match=r"it has: depth/activation@, "):
            made.mean("a=1", missing)


def test_time_between_two_commands_is_no_part_of_what_a_sweep_cost():
    at = datetime(2026, 11, 1, tzinfo=UTC)
    spans = [(0, 10), (5, 20), (6, 8), (100, 130), (110, None)]  # the last was killed

    def ran(start, end, **own):
        facts = {"attempts": 1, "timings": Timings()} | own
        ended_at = None if end is None else at + timedelta(seconds=end)
        return SimpleNamespace(started_at=at + timedelta(seconds=start), ended_at=ended_at, **facts)

    runs = [ran(*span) for span in spans]
    random.Random(0).shuffle(runs)
    assert busy_s(runs) == 50
    resumed = ran(0, 1_000, attempts=2, timings=Timings(setup_s=5, fit_s=20, test_s=5))
    assert busy_s([*runs, resumed]) == 80
    assert busy_s([ran(0, 10, attempts=3, timings=Timings(fit_s=500))]) == 10


def test_a_curve_is_kept_at_whole_numbers():
    curve = Curve(x=[0.0, 0.5, 1.0, 12.0], y=[1.0, 2.0, 1 / 3, 4.0], x_label="", y_label="")
    assert _whole_points(curve) == {"0": 1.0, "1": 0.333333, "12": 4.0}


def test_what_is_kept_is_read_back(tmp_path):
    made = results({"a=1": [0.5, 0.6]})
    content = {name: value for name, value in vars(made).items() if name not in ("name", "runs", "claims", "made")}
    (tmp_path / "x.json").write_text(
        compact({"experiment": "made", **content, "runs": [vars(run) for run in made.runs]})
    )
    assert vars(read(tmp_path / "x.json")) == vars(made)


def test_a_page_is_rendered_with_the_number_of_its_claims(tmp_path):
    made = results({"a=1": [0.90, 0.92, 0.91, 0.93, 0.90], "a=2": [0.89, 0.90, 0.90, 0.91, 0.89]})
    content = {name: value for name, value in vars(made).items() if name not in ("name", "runs", "claims", "made")}
    (tmp_path / "made.json").write_text(
        json.dumps({"experiment": "made", **content, "runs": [vars(r) for r in made.runs]})
    )
    template = tmp_path / "page.j2"
    template.write_text("{% set e = experiment('made') %}{{ e.claim('a=1', 'a=2', 'above') }}\n")
    alone = rendered(template, tmp_path)
    assert alone.startswith("+1.40 points [")
    template.write_text(
        "{% set e = experiment('made') %}{% for _ in range(3) %}{{ e.claim('a=1', 'a=2', 'above') }}\n{% endfor %}"
    )
    assert set(rendered(template, tmp_path).splitlines()) == {alone.strip()}  # one claim, however often it is made
    template.write_text("{{ experiment('nope').seeds }}")
    with pytest.raises(ClaimError, match="experiment nope was not published"):
        rendered(template, tmp_path)


def test_the_page_of_experiments_is_what_its_figures_make():
    assert rendered() == PAGE.read_text(), "run python scripts/dev/publish.py page"


def test_every_picture_of_the_page_is_one_that_is_kept(tmp_path):
    shown = set(re.findall(r"\(curves/(\w+)\.png\)", PAGE.read_text()))
    assert shown == set(SHOWN) == {path.stem for path in CURVES.glob("*.png")}
    drawn = tmp_path / "comparison" / "pictures"
    drawn.mkdir(parents=True)
    for name in SHOWN:
        with pytest.raises(FileNotFoundError):
            keep_picture(name, tmp_path / "comparison", tmp_path / "curves")
        (drawn / f"{SHOWN[name]}.png").write_bytes(name.encode())
        assert keep_picture(name, tmp_path / "comparison", tmp_path / "curves") == sha256(name.encode()).hexdigest()
        assert (tmp_path / "curves" / f"{name}.png").read_bytes() == name.encode()
        (drawn / f"{SHOWN[name]}.png").unlink()
    assert keep_picture("cnn_vs_fc_digits", tmp_path, tmp_path) == ""


@pytest.mark.parametrize("name", KEPT)
def test_figures_belong_to_the_receipt_beside_their_experiment(name):
    found, receipt = (
        read(RESULTS / f"{name}.json"),
        read_receipt(PAGE.parents[1] / "conf" / "experiment" / f"{name}.json"),
    )
    assert found.receipt_sha256 == receipt.sha256
    picture = CURVES / f"{name}.png"
    assert found.picture_sha256 == (sha256(picture.read_bytes()).hexdigest() if name in SHOWN else "")
    assert len(found.commit) == 40
    certified = sorted((record.seed, round(record.metrics[found.metric], 6)) for record in receipt.records.values())
    assert sorted((run.seed, run.metrics[found.metric]) for run in found.runs) == certified
