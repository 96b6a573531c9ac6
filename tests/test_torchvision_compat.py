"""torchvision imports beside any torch, in whatever order a user imports things, and matching builds are left alone."""

from __future__ import annotations

import json

import pytest

# Each case is a fork of a process that has imported what stands in `before`, for torch takes most of the time.
CASES = """
import json, os, sys
exec(sys.argv[1])
answers = {}
for name, code in json.loads(sys.argv[2]).items():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        scope = {}
        try:
            exec(code, scope)
            answer = scope.get("answer")
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answers[name] = json.load(pipe)
    os.waitpid(child, 0)
print(json.dumps(answers))
"""

USABLE = """
from torchvision.transforms import functional
import torch
answer = torchvision.__version__ is not None and functional.hflip(torch.arange(3.0).view(1, 1, 3)).tolist()
"""

FRESH = {
    "package alone": "import vision_baselines, sys\nanswer = sorted({'torch', 'torchvision'} & set(sys.modules))",
    "package first": f"import vision_baselines, torchvision\n{USABLE}",
}
AFTER_TORCH = {
    "torch first": f"import vision_baselines, torchvision\n{USABLE}",
    "failed first": f"""
try:
    import torchvision
except RuntimeError:
    pass
import vision_baselines
import torchvision
{USABLE}""",
    "twice": """
import sys, vision_baselines
from vision_baselines import torchvision_compat
torchvision_compat.install()
torchvision_compat.install()
assert len([f for f in sys.meta_path if "_BeforeTorchvision" in type(f).__name__]) == 1
import importlib.util
importlib.util.find_spec("torchvision")
answer = not [f for f in sys.meta_path if "_BeforeTorchvision" in type(f).__name__]""",
    "operators load": """
import vision_baselines
from vision_baselines import torchvision_compat
torchvision_compat._compiled_operators_load = lambda: True
declared = torchvision_compat.declare_missing_operators()
answer = [declared, hasattr(torch.ops.torchvision, "nms")]""".replace(
        "import vision_baselines", "import torch, vision_baselines", 1
    ),
    "operators do not load": """
import torch, vision_baselines
from vision_baselines import torchvision_compat
torchvision_compat._compiled_operators_load = lambda: False
first = torchvision_compat.declare_missing_operators()
second = torchvision_compat.declare_missing_operators()
answer = [first, second, hasattr(torch.ops.torchvision, "nms"), hasattr(torch.ops.torchvision, "qnms")]""",
    "no torchvision": """
import sys, vision_baselines
from vision_baselines import torchvision_compat
torchvision_compat.PathFinder = type("Nowhere", (), {"find_spec": staticmethod(lambda *a: None)})
answer = torchvision_compat.declare_missing_operators()""",
}


def ask(python, before, cases):
    done = python("-W", "ignore", "-c", CASES, before, json.dumps(cases))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def fresh(python):
    return ask(python, "", FRESH)


@pytest.fixture(scope="module")
def after_torch(python):
    return ask(python, "import torch", AFTER_TORCH)


@pytest.mark.slow
@pytest.mark.ci
def test_the_package_alone_imports_neither_torch_nor_torchvision(fresh):
    assert fresh["package alone"] == []


@pytest.mark.slow
@pytest.mark.ci
def test_torchvision_imports_after_the_package(fresh):
    assert fresh["package first"] == [[[2.0, 1.0, 0.0]]]


@pytest.mark.slow
def test_torchvision_imports_when_torch_came_first(after_torch):
    assert after_torch["torch first"] == [[[2.0, 1.0, 0.0]]]


@pytest.mark.slow
def test_torchvision_imports_after_it_failed_once_without_the_package(after_torch):
    assert after_torch["failed first"] == [[[2.0, 1.0, 0.0]]]


@pytest.mark.slow
def test_installing_again_adds_nothing_and_the_hook_leaves_after_its_moment(after_torch):
    assert after_torch["twice"] is True


@pytest.mark.slow
def test_with_matching_builds_nothing_is_declared(after_torch):
    assert after_torch["operators load"] == [False, False]


@pytest.mark.slow
def test_without_compiled_operators_both_schemas_are_declared_once(after_torch):
    assert after_torch["operators do not load"] == [True, True, True, True]


@pytest.mark.slow
def test_without_torchvision_nothing_is_declared(after_torch):
    assert after_torch["no torchvision"] is False
