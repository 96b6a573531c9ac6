"""Any of timm's classifiers, fitted to the channels, the size and the classes of the data by timm itself."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.models.zoo import ZooNet

_FILES = ("model.safetensors", "pytorch_model.bin")


class TimmNet(ZooNet):
    """A classifier of timm's, by its name there, such as ``mobilenetv3_small_050``; needs the extra ``timm``.

    Nets with position embeddings are built for the size of the data's images.
    """

    option = "timm"

    @classmethod
    def check_arch(cls, arch: str) -> None:
        """See `ZooNet`; a name with a place before it, ``hf-hub:``, would be fetched and is refused."""
        timm = _timm()
        if ":" in arch or not timm.is_model(arch):
            near = difflib.get_close_matches(arch, timm.list_models(), n=1, cutoff=0.5)
            raise ConfigError(
                f"model.arch is {arch!r}; expected a name of timm.list_models()"
                + (f"; did you mean {near[0]}?" if near else "")
            )

    def built(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """See `ZooNet`."""
        return self._made(image_shape)

    @classmethod
    def at_hand(cls, arch: str) -> Path:
        """See `ZooNet`."""
        facts = _facts(arch)
        paths = (
            [Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(facts["url"]).path).name] if facts["url"] else []
        )
        if facts["hf_hub_id"]:
            paths += _cached(facts["hf_hub_id"], facts["hf_hub_filename"])
        for path in paths:
            if path.is_file():
                return path
        where = facts["hf_hub_id"] or facts["url"]
        if not where:
            raise StorageError(f"timm has no weights of {arch}; name a file: model.pretrained=FILE")
        raise StorageError(
            f"the weights of {arch} ({where}) are not in a cache of this machine; name their file "
            "(model.pretrained=FILE), or let them be fetched (model.download=true)"
        )

    def fitted(self, weights: dict[str, Tensor]) -> Mapping[str, Tensor]:
        """See `ZooNet`."""
        full = self._made(self.image_shape, pretrained=True, pretrained_cfg_overlay={"state_dict": weights})
        return full.state_dict()

    def _made(self, image_shape: tuple[int, int, int], **more: Any) -> nn.Module:
        timm = _timm()
        channels, height, width = image_shape
        options: dict[str, Any] = {"num_classes": self.num_classes, "in_chans": channels, **more}
        sized = {"img_size": (height, width)}
        tries = [sized | options, options] if _facts(self.arch)["fixed_input_size"] else [options]
        for number, arguments in enumerate(tries):
            try:
                net: nn.Module = timm.create_model(self.arch, **arguments)
            except TypeError:
                if number == len(tries) - 1:
                    raise
            except (AssertionError, ValueError, ZeroDivisionError) as error:
                text = " ".join(str(error).split()) or type(error).__name__
                raise ConfigError(
                    f"model.arch={self.arch} does not take images of {channels}×{height}×{width}: {text[:200]}; "
                    "set data.resize and data.image_shape, such as 224"
                ) from error
            else:
                return net
        raise AssertionError

    def fetched(self) -> Path:
        """See `ZooNet`."""
        facts = _facts(self.arch)
        if not facts["hf_hub_id"] and not facts["url"]:
            raise StorageError(f"timm has no weights of {self.arch}; name a file: model.pretrained=FILE")
        try:
            if facts["hf_hub_id"]:
                from huggingface_hub import hf_hub_download

                names = [facts["hf_hub_filename"]] if facts["hf_hub_filename"] else list(_FILES)
                for name in names[:-1]:
                    try:
                        return Path(hf_hub_download(facts["hf_hub_id"], name))
                    except FileNotFoundError:
                        continue
                return Path(hf_hub_download(facts["hf_hub_id"], names[-1]))
            torch.hub.load_state_dict_from_url(facts["url"], map_location="cpu", weights_only=True)
            return self.at_hand(self.arch)
        except Exception as error:  # of several libraries that have no common one
            text = " ".join(str(error).split())[:200]
            raise StorageError(f"the weights of {self.arch} cannot be fetched: {text}") from error


def _facts(arch: str) -> dict[str, Any]:
    found = _timm().get_pretrained_cfg(arch)
    keys = ("url", "hf_hub_id", "hf_hub_filename", "fixed_input_size")
    return {key: getattr(found, key, None) for key in keys}


def _cached(repository: str, file: str | None) -> list[Path]:
    """Files of a repository in the cache of Hugging Face; nothing is asked of the network."""
    from huggingface_hub import try_to_load_from_cache

    found = [try_to_load_from_cache(repository, name) for name in ([file] if file else _FILES)]
    return [Path(path) for path in found if isinstance(path, str)]


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ConfigError("model=timm needs the package timm: pip install 'vision-baselines[timm]'") from error
    return timm
