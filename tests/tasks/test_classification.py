"""What classification logs and minimises is what scikit-learn and torch say of the same outputs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, fbeta_score, top_k_accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import CrossEntropyLoss, functional

from vision_baselines.errors import ConfigError
from vision_baselines.tasks.classification import Classification, balanced_weights

CLASSES = 7


def drawn(seed=0, n=64, absent=()):
    """Logits (n, CLASSES) and labels (n,); no label is among `absent`."""
    draws = torch.Generator().manual_seed(seed)
    labels = [label for label in range(CLASSES) if label not in absent]
    target = torch.tensor(labels)[torch.randint(len(labels), (n,), generator=draws)]
    return torch.randn(n, CLASSES, generator=draws) + functional.one_hot(target, CLASSES), target


def values(task, logits, target, parts=3):
    """Every metric of a task, updated in several batches."""
    found = {}
    for name, metric in task.metrics().items():
        for some, labels in zip(logits.chunk(parts), target.chunk(parts), strict=True):
            metric.update(some, labels)
        found[name] = float(metric.compute())
    return found


def expected_ece(logits, target, bins=15):
    """Guo et al. 2017, arXiv:1706.04599, equation 3, by hand."""
    shares = logits.softmax(1)
    confidence, right = shares.max(1).values.numpy(), (shares.argmax(1) == target).double().numpy()
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@settings(max_examples=15, derandomize=True)
@given(seed=st.integers(0, 10_000), absent=st.sets(st.integers(0, CLASSES - 1), max_size=3))
def test_the_ready_metrics_equal_scikit_learns(seed, absent):
    logits, target = drawn(seed, absent=absent)
    task = Classification(CLASSES, metrics=["accuracy", "macro_f1", "balanced_accuracy", "top5", "ece"])
    found = values(task, logits, target)
    predicted = logits.argmax(1)
    assert found == pytest.approx(
        {
            "acc": float((predicted == target).float().mean()),
            "macro_f1": f1_score(target, predicted, average="macro"),
            "balanced_accuracy": balanced_accuracy_score(target, predicted),
            "top5": top_k_accuracy_score(target, logits, k=5, labels=range(CLASSES)),
            "ece": expected_ece(logits, target),
        },
        abs=1e-5,
    )


def test_any_metric_of_torchmetrics_may_be_named_with_its_arguments():
    logits, target = drawn()
    spec = {"name": "macro_f2", "metric": "MulticlassFBetaScore", "beta": 2.0, "average": "macro"}
    found = values(Classification(CLASSES, metrics=["accuracy", spec]), logits, target)
    assert found["macro_f2"] == pytest.approx(fbeta_score(target, logits.argmax(1), beta=2.0, average="macro"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("weights", [None, "balanced", [1, 2, 0.5, 0, 1, 1, 3]])
def test_the_loss_is_torchs_cross_entropy(smoothing, weights):
    logits, target = drawn(absent={2})
    task = Classification(CLASSES, label_smoothing=smoothing, class_weights=weights)
    task.prepare(target, [str(label) for label in range(CLASSES)])
    weight = torch.tensor(weights) if isinstance(weights, list) else None
    if weights == "balanced":
        present = np.unique(target)
        weight = torch.zeros(CLASSES)
        weight[present] = torch.tensor(compute_class_weight("balanced", classes=present, y=target.numpy())).float()
    expected = CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(logits, target)
    assert torch.equal(task.loss(logits, target), expected) or weights == "balanced"
    assert float(task.loss(logits, target)) == pytest.approx(float(expected), rel=1e-6)


def test_validation_reports_plain_cross_entropy_whatever_is_trained_with():
    logits, target = drawn()
    task = Classification(CLASSES, label_smoothing=0.3, class_weights=list(range(CLASSES)))
    assert torch.equal(task.eval_loss(logits, target), functional.cross_entropy(logits, target))
    assert not torch.equal(task.loss(logits, target), task.eval_loss(logits, target))


def test_a_class_without_training_images_weighs_nothing():
    assert balanced_weights(torch.tensor([0, 0, 2]), 4).tolist() == pytest.approx([0.75, 0, 1.5, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"headline": "f1"}, "task.headline is 'f1'; expected one of loss, acc"),
        ({"mode": "min"}, "task.mode is 'min'; expected max: acc is better higher"),
        ({"headline": "loss"}, "task.mode is 'max'; expected min"),
        ({"headline": "ece", "metrics": ["ece"]}, "task.mode is 'max'; expected min"),
        ({"mode": "largest"}, "task.mode is 'largest'; expected max"),
        ({"metrics": "accuracy"}, r"task.metrics is 'accuracy'; expected a list"),
        ({"metrics": ["accuracy", "accuracy"]}, "task.metrics has 'acc' twice"),
        ({"metrics": ["accuracy", "f1"]}, "task.metrics has 'f1'; expected accuracy, macro_f1"),
        ({"metrics": ["accuracy", 5]}, "task.metrics has 5; expected accuracy"),
        ({"metrics": ["accuracy", "top7"]}, "top7, which is always 1 with 7 classes"),
        ({"metrics": ["accuracy", {"metric": "os.system"}]}, "expected a class of torchmetrics"),
        ({"metrics": ["accuracy", {"metric": "Metric"}]}, "expected a class of torchmetrics"),
        ({"metrics": ["accuracy", {"metric": "MulticlassFBetaScore", "beta": -1.0}]}, "cannot be made"),
        ({"metrics": ["accuracy", {"metric": "MulticlassF1Score", "nope": 1}]}, "cannot be made"),
        ({"metrics": ["accuracy", {"name": "a/b", "metric": "MulticlassF1Score"}]}, "expected letters, digits"),
        ({"label_smoothing": 1.0}, "task.label_smoothing is 1.0; expected at least 0 and less than 1"),
        ({"label_smoothing": -0.1}, "task.label_smoothing is -0.1"),
        ({"label_smoothing": math.nan}, "task.label_smoothing is nan"),
        ({"label_smoothing": "much"}, "task.label_smoothing is 'much'; expected a number"),
        ({"class_weights": "inverse"}, "task.class_weights is 'inverse'; expected balanced, or 7 numbers"),
        ({"class_weights": [1, 2]}, r"task.class_weights is \[1, 2\]; expected balanced, or 7 numbers"),
        ({"class_weights": [1, 1, 1, 1, 1, 1, -1]}, "task.class_weights"),
        ({"class_weights": [0] * 7}, "not all 0"),
        ({"class_weights": [1, 1, 1, 1, 1, 1, math.inf]}, "task.class_weights"),
        ({"class_weights": {"a": 1}}, "task.class_weights"),
        ({"top_k": 7}, "task.top_k is 7; expected a whole number from 1 to 6"),
        ({"top_k": True}, "task.top_k is True"),
        ({"top_k": 0}, "task.top_k is 0"),
    ],
)
def test_arguments_that_cannot_be_right_are_refused_in_one_line(options, message):
    with pytest.raises(ConfigError, match=message) as raised:
        Classification(CLASSES, **options)
    assert "\n" not in str(raised.value)


def test_top_k_adds_a_metric():
    assert list(Classification(CLASSES, top_k=3).metrics()) == ["acc", "top3"]
    assert list(Classification(CLASSES, metrics=["accuracy", "top3"], top_k=3).metrics()) == ["acc", "top3"]


def test_the_direction_of_every_metric_is_known():
    task = Classification(CLASSES, metrics=["accuracy", "ece"], headline="ece", mode="min")
    assert task.modes == {"loss": "min", "acc": "max", "ece": "min"}


@pytest.mark.parametrize(
    ("of_logits", "suspicious"),
    [
        (lambda x: x.softmax(1), True),
        (lambda x: x.softmax(1).half(), True),
        (lambda x: x, False),
        (lambda x: x.relu(), False),
        (lambda x: x.sigmoid(), False),
        (lambda x: x.log_softmax(1), False),
        (lambda x: x.softmax(0), False),
    ],
)
def test_probabilities_are_distinguished_from_logits(of_logits, suspicious):
    logits, _ = drawn()
    warning = Classification(CLASSES).warning(of_logits(logits))
    assert bool(warning) is suspicious
    assert not suspicious or "remove the softmax" in warning


def test_the_report_counts_targets_by_predictions():
    logits, target = drawn()
    task = Classification(CLASSES)
    report = task.report(task.prediction(logits), target, [str(label) for label in range(CLASSES)])
    from sklearn.metrics import confusion_matrix

    assert report.confusion == confusion_matrix(target, logits.argmax(1), labels=range(CLASSES)).tolist()
    assert report.caveats == ()


def test_one_class_for_every_image_is_a_caveat():
    target = torch.tensor([0] * 19 + [1])
    report = Classification(2).report(torch.zeros(20, dtype=torch.int64), target, ["healthy", "sick"])
    assert report.caveats == ("every test prediction is one class, healthy: that of 95.00% of the test images",)
    assert report.confusion == [[19, 0], [1, 0]]


@pytest.mark.parametrize(
    ("sizes", "predicted", "words"),
    [
        ([9, 9, 9], {0, 1, 2}, None),
        ([9, 9, 9], {0, 2}, "class b"),
        ([9, 9, 4], {0, 1}, None),  # too few images to expect one right
        ([9, 9, 9, 9, 9, 9, 9, 9], {0, 7}, "classes b, c, d, e, f and 1 more"),
        ([9, 9, 0], {0, 1, 2}, None),
    ],
)
def test_classes_that_are_never_predicted_are_a_caveat(sizes, predicted, words):
    target = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    predictions = torch.tensor(sorted(predicted))[torch.arange(len(target)) % len(predicted)]
    report = Classification(len(sizes)).report(predictions, target, "abcdefgh"[: len(sizes)])
    assert report.caveats == (() if words is None else (f"never predicted: {words}",))


def test_of_very_many_classes_no_matrix_is_kept():
    few, many = (Classification(size).report(torch.tensor([0, 1]), torch.tensor([1, 1]), []) for size in (1_000, 10**6))
    assert len(few.confusion) == 1_000
    assert many.confusion is None
