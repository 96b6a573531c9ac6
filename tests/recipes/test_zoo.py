"""Nets of torchvision and timm: fitted to the data, refused in a line, pretrained from files that are at hand."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest
import torch

from vision_baselines.analysis.net_size import net_size
from vision_baselines.config.plan import planned
from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.models.timm_net import TimmNet
from vision_baselines.models.torchvision_net import TorchvisionNet
from vision_baselines.models.transfer import head_name
from vision_baselines.models.zoo import for_channels, read_weights
from vision_baselines.training.first_weights import require_net
from vision_baselines.training.run import run

KINDS = {"torchvision": TorchvisionNet, "timm": TimmNet}
SMALL = {"torchvision": "squeezenet1_1", "timm": "test_resnet"}
TORCHVISION = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5", "mobilenet_v2",
    "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vit_b_32",
)  # fmt: skip
TIMM = (
    "convnext_atto", "deit_tiny_patch16_224", "edgenext_xx_small", "efficientnet_lite0", "ghostnet_050", "lcnet_035",
    "mixer_s32_224", "mobilenetv3_small_050", "resnet10t", "test_resnet", "test_vit", "tinynet_e",
    "vit_tiny_patch16_224",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A net that is built or refused asks nobody."""

    def refuse(*_):
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "arch"), [*(("torchvision", arch) for arch in TORCHVISION), *(("timm", arch) for arch in TIMM)]
)
def test_a_net_is_fitted_counted_and_takes_a_step(kind, arch, channels, run_tiny, tmp_path):
    net = KINDS[kind]([channels, 64, 64], 5, arch)
    assert net(torch.zeros(2, channels, 64, 64)).shape == (2, 5)
    size = net_size(net, (channels, 64, 64))
    assert size.num_params == sum(parameter.numel() for parameter in net.parameters())
    assert size.flops > 1_000_000
    assert size.receptive_field_px is None or size.receptive_field_px > 0
    last = net.get_submodule(head_name(net))
    assert 5 in last.weight.shape[:1]
    loss = torch.nn.functional.cross_entropy(net(torch.randn(4, channels, 64, 64)), torch.tensor([0, 1, 2, 3]))
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())


@pytest.mark.parametrize(
    ("kind", "arch", "shape", "says"),
    [
        ("torchvision", "rsnet18", [1, 32, 32], "did you mean resnet18"),
        ("torchvision", "", [1, 32, 32], "model.arch is ''"),
        ("torchvision", "vit_b_32", [1, 40, 40], r"data.resize=64 data.image_shape=\[1,64,64\]"),
        ("torchvision", "vit_b_32", [1, 32, 64], "square"),
        ("torchvision", "squeezenet1_1", [1, 8, 8], r"data.resize=32 data.image_shape=\[1,32,32\]"),
        ("torchvision", "maxvit_t", [3, 32, 32], "data.resize"),
        ("timm", "resnet19t", [1, 32, 32], "did you mean"),
        ("timm", "hf-hub:somebody/net", [1, 32, 32], "expected a name of timm.list_models"),
        ("timm", "local-dir:/tmp", [1, 32, 32], "expected a name of timm.list_models"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(kind, arch, shape, says):
    with pytest.raises(ConfigError, match=says) as caught:
        KINDS[kind](shape, 10, arch)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_from_a_file_are_taken_but_for_the_last_layer(kind, channels, tmp_path):
    torch.manual_seed(1)
    theirs = KINDS[kind]([3, 32, 32], 1000, SMALL[kind]).body
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    net = KINDS[kind]([channels, 32, 32], 10, SMALL[kind], pretrained=str(tmp_path / "weights.pth"))
    drawn = {name: value.clone() for name, value in net.body.state_dict().items()}
    assert net.load_pretrained() == tmp_path / "weights.pth"
    head, first = head_name(net.body), next(iter(drawn))
    for name, value in net.body.state_dict().items():
        if name.startswith(head):
            assert torch.equal(value, drawn[name])
        elif name == first:
            assert torch.allclose(value, for_channels(theirs.state_dict()[name], channels), atol=1e-6)
        else:
            assert torch.equal(value, theirs.state_dict()[name]), name


def test_a_grey_image_is_seen_as_the_same_image_in_colour():
    weight = torch.randn(4, 3, 3, 3)
    grey = torch.randn(2, 1, 8, 8)
    one = torch.nn.functional.conv2d(grey, for_channels(weight, 1))
    assert torch.allclose(one, torch.nn.functional.conv2d(grey.expand(2, 3, 8, 8), weight), atol=1e-5)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_at_hand_are_said_and_not_fetched(kind, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    net = KINDS[kind]([3, 32, 32], 10, {"torchvision": "squeezenet1_1", "timm": "resnet10t"}[kind], pretrained=True)
    with pytest.raises(StorageError, match=r"model\.download=true") as caught:
        net.load_pretrained()
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(StorageError, match="there is no file"):
        KINDS[kind]([3, 32, 32], 10, SMALL[kind], pretrained=str(tmp_path / "none.pth")).load_pretrained()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_at_hand_is_refused_before_data_are_read(kind, compose, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(KINDS[kind], "built", lambda *_: pytest.fail("a net was built"))
    arch = f"model.arch={ {'torchvision': 'squeezenet1_1', 'timm': 'resnet10t'}[kind] }"

    def asked(*words, run_dir=tmp_path / "run"):
        plan = planned(compose("data=mnist", f"model={kind}", arch, *words, run_dir=run_dir))  # data that are not there
        with pytest.raises((ConfigError, StorageError)) as caught:
            run(plan)
        assert not run_dir.exists()
        return str(caught.value)

    assert "model.download=true" in asked("model.pretrained=true")
    assert "there is no file" in asked(f"model.pretrained={tmp_path}/none.pth")
    assert "there is no file" in asked(f"model.pretrained={tmp_path}/none.pth", "model.download=true")
    assert "model.arch is 'nonet'" in asked("model.arch=nonet", "model.download=true")


def test_weights_are_not_asked_for_where_a_run_has_its_own(compose, tmp_path):
    plan = planned(compose("model=timm", "model.pretrained=/none.pth", run_dir=tmp_path / "run"))
    with pytest.raises(StorageError, match="there is no file"):
        require_net(plan)
    state = Path(plan.cfg.callbacks.checkpoints.dirpath) / "resume-step=00000003.ckpt"
    state.parent.mkdir(parents=True)
    state.touch()
    require_net(plan)
    state.unlink()
    require_net(planned(compose("model=timm", "model.pretrained=true", "model.download=true", run_dir=tmp_path / "b")))


@pytest.mark.slow
@pytest.mark.parametrize("words", [["seed=0,1"], ["hydra/sweeper=search", "optimizer.lr=interval(1e-3,1e-1)"]])
def test_no_job_of_a_sweep_starts_without_the_weights_of_all(words, cli, tmp_path):
    done = cli("-m", "name=zoo", *words, "model=timm", "model.pretrained=/none.pth", f"paths.output_dir={tmp_path}")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "there is no file /none.pth" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("run.json"))


def test_the_cache_of_torch_hub_is_looked_into_and_its_files_are_checked(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    net = TorchvisionNet([3, 32, 32], 10, "squeezenet1_1", pretrained=True)
    (tmp_path / "checkpoints").mkdir()
    cached = tmp_path / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    torch.save(TorchvisionNet([3, 32, 32], 1000, "squeezenet1_1").body.state_dict(), cached)
    with pytest.raises(StorageError, match="damaged"):
        net.load_pretrained()


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_holds_no_tensors_is_refused_and_runs_no_code(content, suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(StorageError):
        read_weights(path)


def test_a_name_with_its_hash_is_held_to_it(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    right, wrong = tmp_path / f"w-{digest[:8]}.pth", tmp_path / "w-00000000.pth"
    for path in (right, wrong):
        path.write_bytes((tmp_path / "w.pth").read_bytes())
    assert list(read_weights(right)) == ["a"]
    with pytest.raises(StorageError, match="damaged"):
        read_weights(wrong)


@pytest.mark.slow
def test_weights_of_another_net_do_not_fit_and_change_nothing(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    net = TorchvisionNet([3, 32, 32], 10, "squeezenet1_1", pretrained=str(tmp_path / "w.pth"))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ConfigError, match=r"does not fit model\.arch=squeezenet1_1"):
        net.load_pretrained()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.slow
def test_a_run_from_pretrained_weights_resumes_and_is_tested_without_the_file(compose, resumed_after, tmp_path):
    from vision_baselines.evaluation.evaluate import evaluate
    from vision_baselines.training.run import train

    file = tmp_path / "weights.pth"
    torch.save(TimmNet([3, 16, 16], 1000, "test_resnet").body.state_dict(), file)
    always = ["data.train_fraction=0.2", "trainer.max_epochs=2", "checkpoint_every_n_steps=1", "checkpoint=last"]
    always += ["logger=none", "model=timm", "model.arch=test_resnet", "callbacks.filters=null"]

    def run(name, *options):
        return train(compose(*always, *options, run_dir=tmp_path / "outputs" / name))

    pretrained = f"model.pretrained={file}"
    whole, scratch = run("whole", pretrained), run("scratch")
    assert whole.init_weights_sha256
    assert scratch.init_weights_sha256 is None
    assert whole.final_weights_sha256 != scratch.final_weights_sha256
    record = resumed_after(3, run, pretrained)
    assert record.init_weights_sha256 == whole.init_weights_sha256
    assert record.final_weights_sha256 == whole.final_weights_sha256
    file.unlink()
    assert evaluate(tmp_path / "outputs" / "whole").same is True
