"""Figures for a paper: TeX that is well formed, bold where the verdict says so, and a check that can fail."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vision_baselines.cli.compare import main
from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.data.known_data import KNOWN
from vision_baselines.errors import DataError
from vision_baselines.report.checklist import checklist
from vision_baselines.report.latex import RECEIPT, latex
from vision_baselines.report.paper import check_paper
from vision_baselines.runs.record import Status


def table_of(records, **options):
    return tabulate(Collection(tuple(Job(Path(str(n)), f"p{n}", found) for n, found in enumerate(records))), **options)


def sweep(record, gap=0.05, names=("cnn", "fc"), sweep="demo", seeds=4):
    luck = (0.0, 0.004, -0.002, 0.001)
    return [
        record(f"model={name},seed={seed}", 0.9 - gap * place + luck[seed] * (1 + place), sweep=sweep)
        for place, name in enumerate(names)
        for seed in range(seeds)
    ]


@pytest.fixture
def outputs(tmp_path, record, write):
    write(tmp_path / "outputs" / "demo", *sweep(record))
    return tmp_path / "outputs"


def written(outputs, tmp_path, **options):
    paper = tmp_path / "paper.tex"
    paper.write_text(latex(tabulate(collect([outputs / "demo"]), **options), options), encoding="utf-8")
    return paper


def wrong(paper, outputs, folders=()):
    return [found for found in check_paper(paper, folders, outputs) if found.reason]


@pytest.mark.parametrize("options", [{}, {"metric": "test/loss"}, {"group_by": ["model"]}, {"baseline": "model=cnn"}])
def test_a_paper_that_says_what_the_records_say_passes(outputs, tmp_path, options):
    paper = written(outputs, tmp_path, **options)
    assert len(check_paper(paper, [], outputs)) == 14
    assert not wrong(paper, outputs)


@pytest.mark.parametrize("line", range(14))
def test_a_figure_that_was_typed_over_is_found(outputs, tmp_path, line):
    paper = written(outputs, tmp_path)
    lines = paper.read_text().splitlines()
    places = [place for place, text in enumerate(lines) if RECEIPT in text and not text.startswith(RECEIPT)]
    old = lines[places[line]]
    lines[places[line]] = re.sub(
        r"& [^&]* &|(?<=endcsname)\{.*\} %", lambda cell: f"{cell[0][:2]}99.99{cell[0][-2:]}", old, count=1
    )
    assert "99.99" in lines[places[line]]
    paper.write_text("\n".join(lines))
    (found,) = wrong(paper, outputs)
    assert found.place == f"paper.tex:{places[line] + 1}"
    assert "99.99" in found.reason


@pytest.mark.parametrize("define", [r"\expandafter\def", r"\global\expandafter\let", r"\expandafter\xdef"])
def test_a_macro_that_is_defined_again_is_found(outputs, tmp_path, define):
    paper = written(outputs, tmp_path)
    again = rf"{define}\csname vb@acc@fc@demo\endcsname{{99.99}}"
    paper.write_text(f"{paper.read_text()}% {again}\n{again}\n")
    (found,) = wrong(paper, outputs)
    assert "defined again" in found.reason


def test_records_that_changed_are_found_and_only_what_they_changed(outputs, tmp_path):
    paper = written(outputs, tmp_path)
    path = outputs / "demo" / "model=cnn,seed=0" / "run.json"
    changed = json.loads(path.read_text())
    changed["metrics"]["test/acc"] = 0.5
    path.write_text(json.dumps(changed))
    found = {figure.what for figure in wrong(paper, outputs)}
    assert {"\\acc{cnn}{demo}", "row model=cnn", "\\accdiff{cnn}{demo}"} <= found
    assert not {"\\acc{fc}{demo}", "\\accn{cnn}{demo}"} & found


@pytest.mark.parametrize("says", ["no folder", "no such group"])
def test_records_that_are_gone_are_said(outputs, tmp_path, says):
    paper = written(outputs, tmp_path)
    if says == "no folder":
        (outputs / "demo").rename(outputs / "other")
    else:
        for folder in (outputs / "demo").glob("model=cnn*"):
            (folder / "run.json").unlink()
    assert any(says in figure.reason for figure in wrong(paper, outputs))


def test_files_that_a_paper_takes_in_are_checked_and_a_folder_may_be_elsewhere(outputs, tmp_path):
    made = written(outputs, tmp_path)
    made.rename(tmp_path / "numbers.tex")
    paper = tmp_path / "main.tex"
    paper.write_text("% \\input{absent}\n\\input{numbers} \\acc{cnn}{demo}\n")
    (outputs / "demo").rename(tmp_path / "demo")
    assert not wrong(paper, outputs, [tmp_path / "demo"])
    assert len(wrong(paper, outputs)) == 14


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no figure with a receipt"),
        ("\\acc{cnn}{demo} is 97", "no figure with a receipt"),
        ("\\input{absent}", "cannot read .*absent.tex"),
        (f"{RECEIPT}abc {{broken", "damaged receipt"),
    ],
)
def test_a_paper_that_cannot_be_checked_is_refused(tmp_path, text, says):
    (tmp_path / "paper.tex").write_text(text)
    with pytest.raises(DataError, match=says):
        check_paper(tmp_path / "paper.tex", [], tmp_path)


@pytest.mark.parametrize("rest", ["a \\acc{cnn}{demo} 1", "{} "])
def test_a_receipt_without_its_comparison_does_not_pass(outputs, tmp_path, rest):
    paper = tmp_path / "paper.tex"
    paper.write_text(f"97.2 {RECEIPT}k {rest}\n97.2 {RECEIPT}k row model=cnn 1\n")
    assert wrong(paper, outputs)


@pytest.mark.parametrize(
    "label", ["a_b&c%d$e#f{g}~h^i\\j", "% vision-baselines k {}", "ü × ± −1 <x>", "[1,2]", "a\nb", "x" * 300]
)
def test_foreign_text_stays_text(record, label):
    records = [record([f"model={name}", f"seed={seed}"], 0.9) for name in (label, "fc") for seed in range(3)]
    text = latex(table_of(records), {})
    for line in text.splitlines():
        code = re.sub(r"(?<!\\)%.*", "", line)
        assert len(re.findall(r"(?<!\\)\{", code)) == len(re.findall(r"(?<!\\)\}", code))
        assert code.isascii() or "ü" in code
    rows = [line for line in text.splitlines() if f"{RECEIPT}" in line and " row " in line]
    assert len(rows) == 2
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {
        text.partition("\\midrule")[0].splitlines()[-1].count("&")
    }


@pytest.mark.parametrize(
    ("gap", "baseline", "bold"),
    [(0.05, None, {"cnn"}), (0.05, "model=cnn", {"cnn"}), (0.0, None, set()), (-0.05, None, {"fc"})],
)
def test_bold_is_what_the_verdict_calls_better(record, gap, baseline, bold):
    text = latex(table_of(sweep(record, gap), baseline=baseline), {})
    assert set(re.findall(r"^\\textbf\{model=(\w+)\}", text, re.MULTILINE)) == bold


def test_a_checklist_counts_what_was_thrown_away(record, failed):
    records = [
        *(record(f"optimizer.lr={lr},seed={seed}", 0.9) for lr in ("1e-3", "1e-1", "1e-2") for seed in (0, 1)),
        failed("optimizer.lr=1e-1,seed=7"),
        record("optimizer.lr=1e-1,seed=8", None, status=Status.DIVERGED),
        record("optimizer.lr=1e-1,seed=9", 0.9, partial=["limit_train_batches=2"], attempts=3),
    ]
    text = checklist(table_of(records))
    for line in (
        "9 jobs, of which 6 stand in the numbers", "1 failed", "1 diverged", "1 of a part of the data only",
        "1 job took more than one attempt", "from 0.001 to 0.1", "n = 2 runs (seeds 0, 1)",
    ):  # fmt: skip
        assert line in text, line


def test_every_data_set_of_the_project_has_its_licence_or_is_ones_own(root):
    targets = {
        found[1]
        for path in (root / "conf" / "data").glob("*.yaml")
        if (found := re.search(r"_target_: vision_baselines\.data\..*\.(\w+)", path.read_text()))
    }
    assert targets - {"ImageFolder", "Npz", "CsvPixels"} == KNOWN.keys()


def test_from_the_command_line(outputs, tmp_path, monkeypatch, called):
    monkeypatch.chdir(tmp_path)
    command = called(main)
    code, tex, _ = command("outputs/demo", "format=latex")
    assert code == 0
    assert tex == (outputs / "demo" / "comparison" / "comparison.tex").read_text()
    Path("paper.tex").write_text(tex)
    assert command("--check", "paper.tex")[:2] == (0, "14 figures: all are what the records say\n")
    Path("paper.tex").write_text(tex.replace("{4} %", "{5} %"))
    code, out, err = command("--check", "paper.tex")
    assert code == 1
    assert "the records say 4, not 5" in out
    assert "2 of 14 figures are not" in err
    assert "no folder nowhere" in command("nowhere", "--check", "paper.tex")[2]
    for words in (
        ["outputs/demo", "format=html"],
        ["--check"],
        ["--check", "a.tex", "b.tex"],
        ["no", "--check", "a.tex"],
    ):
        code, _, err = command(*words)
        assert code == (3 if words[0] == "no" else 2)
        assert "expected" in err


def test_where_the_records_are_not_found_nothing_is_called_wrong(outputs, tmp_path, capsys, monkeypatch):
    paper = written(outputs, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    outputs.rename(elsewhere)
    monkeypatch.chdir(tmp_path)
    assert all(not found.has_records for found in check_paper(paper, [], outputs))
    with pytest.raises(SystemExit):
        main(["--check", str(paper)])
    assert "14 of 14 figures cannot be checked without their records" in capsys.readouterr().err
    assert not wrong(paper, outputs, [elsewhere])  # a folder of sweeps
    assert not wrong(paper, outputs, [elsewhere / "demo"])
    inside = elsewhere / "demo" / "comparison" / "comparison.tex"
    inside.parent.mkdir()
    paper.rename(inside)
    assert not wrong(inside, outputs)
