"""What any error says: one or two lines, with the nearest right word, and the exit code of its kind."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from vision_baselines.config.ablation import ABLATE, TYPED_NAMES
from vision_baselines.config.compose import conf_dir as package_conf_dir
from vision_baselines.config.compose import extra_config_dir, group_options
from vision_baselines.config.packages import OPTION, told_by
from vision_baselines.errors import (
    ConfigError,
    StorageError,
    TrainingError,
    VisionBaselinesError,
    causes,
    is_out_of_memory,
)
from vision_baselines.runs.dotted import walk

TRACEBACK = "VISION_BASELINES_TRACEBACK"
_LONGEST = 400
_TRIED = re.compile(r"(?:[Tt]ried to allocate|[Uu]nable to allocate|allocate) ([\d.,]+ ?\w+)")

# Options that come with Hydra or its plugins and so have no file in conf/.
_HYDRAS_OWN = {"hydra/launcher": {"basic", "joblib", "ray"}, "hydra/sweeper": {"basic"}}


def understood(error: Exception) -> VisionBaselinesError:
    """The error itself if it is one of ours, else one that says the same in a line or two, with its exit code.

    What nobody expected ends as a `TrainingError` that says how to see the traceback.
    """
    ours = next((cause for cause in causes(error) if isinstance(cause, VisionBaselinesError)), None)
    if ours is not None:
        return ours
    text = " ".join(str(error).split())
    if isinstance(error, HydraException | OmegaConfBaseException):
        return one_line(error, package_conf_dir())
    if is_out_of_memory(error):
        tried = f" (tried to allocate {match[1]})" if (match := _TRIED.search(text)) else ""
        return TrainingError(f"memory ran out{tried}; make data.batch_size, data.eval_batch_size or the net smaller")
    if isinstance(error, RecursionError):
        return ConfigError("the config nests without end; does a file name itself in its defaults?")
    refused = next((cause for cause in causes(error) if isinstance(cause, OSError) and cause.strerror), None)
    if refused is not None and refused.filename is not None:
        # options of the other commands name what they write
        hint = "" if told_by.get() == OPTION else "; is paths.output_dir the right folder?"
        return StorageError(f"{refused.strerror} at {refused.filename}{hint}")
    if refused is not None and refused is error:
        return StorageError(f"{refused.strerror}, where the output of this command goes")
    if match := re.fullmatch(r"Target (\d+) is out of bounds\.", text):
        return ConfigError(
            f"the net has too few outputs for class {match[1]}; its number of outputs must be data.num_classes"
        )
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    return TrainingError(f"{type(error).__name__}: {shown}", f"Not expected here: {TRACEBACK}=1 shows the traceback")


@contextmanager
def config_dir_known(folder: Path | None) -> Iterator[None]:
    """While active, configs in `folder` are found too, and errors name its options beside those of the project.

    Raises:
        ConfigError: It is not a folder; or what is raised inside by Hydra and OmegaConf, in a line or two.
    """
    with extra_config_dir(folder):
        try:
            yield
        except (HydraException, OmegaConfBaseException) as error:
            raise understood(error) from error


def one_line(error: BaseException, conf_dir: Path) -> VisionBaselinesError:
    """The error behind `error`, if it is one of ours, else a `ConfigError` that says the same in a line or two."""
    found = list(causes(error))
    for cause in found:
        if isinstance(cause, VisionBaselinesError):
            return cause
    text = "\n".join(map(str, found))
    for cause in found:
        if isinstance(cause, OverrideParseException):
            return ConfigError(_unreadable(cause.override))
    if match := re.search(r"Could not find '([^']+)'", text):
        return ConfigError(_unknown_option(match[1], conf_dir))
    if match := re.search(r"Could not override '([^']+)'", text):
        # of a dictionary that is merged into one, the key inside it that is not there
        inside = re.search(rf"full_key: ({re.escape(match[1])}\.\S+)", text)
        return ConfigError(*_unknown_key(inside[1] if inside else match[1], conf_dir))
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return ConfigError(f"{match[1]} lists several values; add -m (--multirun) to sweep them, or quote the value")
    if match := re.search(r"Could not append to config\. An item is already at '([^']+)'", text):
        return ConfigError(f"{match[1]} is set already; write {match[1]}=… without the +")
    if match := re.search(r"Interpolation key '([^']+)' not found", text):
        place = re.search(r"full_key: (\S+)", text)
        return ConfigError(f"the config has no {match[1]}" + (f", which {place[1]} refers to" if place else ""))
    if match := re.search(r"Environment variable '([^']+)' not found", text):
        place = re.search(r"full_key: (\S+)", text)
        return ConfigError(f"{place[1] + ': ' if place else ''}the environment variable {match[1]} is not set")
    if match := re.search(r"Cannot find primary config '([^']+)'", text):
        return ConfigError(f"there is no config {match[1]!r}; leave out --config-name, or name a file in --config-dir")
    if "does not support sweep type" in text:
        return ConfigError("a sweep takes lists, such as seed=0,1 or 'seed=range(0,3)'; an interval is for a search")
    if match := re.search(r"Error merging override ([^=\s]+)=(.*)", text):
        return ConfigError(f"{match[1].lstrip('+~')}={match[2]} cannot be: the key holds another kind of value")
    first = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(first[:2]) or type(error).__name__
    key = str(getattr(error, "full_key", None) or "")
    return ConfigError(said if key in said else f"{key}: {said}")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the known word nearest to `word`; empty if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def _unreadable(override: str) -> str:
    key, found, value = override.partition("=")
    if not found or not re.fullmatch(r"[+~]*[\w./@-]+", key, flags=re.ASCII):
        return f"{override!r} cannot be read; expected key=value, such as seed=1"
    if value.startswith("[") and key.startswith("hydra.sweeper.groups"):
        return f'the value in {override!r} cannot be read; quote its overrides: \'{key}=[["model=cnn","seed=0,1"]]\''
    if key.lstrip("+") == ABLATE:
        return f"{override!r} cannot be read; expected {TYPED_NAMES}"
    if value.endswith("()"):
        return f"{override!r} names no value; expected some, such as {key}=choice(0,1) or {key}=0,1"
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    quoted = bare.replace("\\", "\\\\").replace('"', '\\"')
    typed = shlex.quote(f'{key}="{quoted}"')
    return f"the value in {override!r} cannot be read; put it in quotes inside quotes: {typed}"


def _unknown_option(name: str, conf_dir: Path) -> str:
    group, _, option = name.rpartition("/")
    options = _options(group)
    if not options:
        groups = sorted(path.name for path in conf_dir.iterdir() if path.is_dir())
        return f"there is no config group {group!r}{nearest(group, groups)} (groups: {', '.join(groups)})"
    return f"{group}={option} does not exist{nearest(option, options)} (there are: {', '.join(options)})"


def _unknown_key(key: str, conf_dir: Path) -> tuple[str, ...]:
    _, _, key = key.rpartition("@")  # of a group placed elsewhere, the place
    group, *rest = key.split(".")
    owners = [option for option in _options(group) if rest and key in _keys_of(conf_dir, group, option)]
    if owners:
        owner = f"{group}={' and '.join(owners)}"
        return (f"there is no key {key!r} with the {group} that is chosen; it belongs to {owner}",)
    known = _keys(conf_dir)
    same_leaf = [other for other in known if other.rpartition(".")[2] == key.rpartition(".")[2]]
    hint = f"; did you mean {' or '.join(same_leaf[:3])}?" if same_leaf else nearest(key, known)
    return f"there is no key {key!r} in the config{hint}", f"To add a key that is not there, write +{key}=…"


def _options(group: str) -> list[str]:
    return sorted({*group_options(group), *_HYDRAS_OWN.get(group, set())})


def _keys(conf_dir: Path) -> list[str]:
    """Every dotted key that stands in a config file, whichever option of its group is chosen, and every group."""
    import yaml

    keys: set[str] = set()
    for path in sorted(conf_dir.rglob("*.yaml")):
        text = path.read_text()
        if "@package _global_" in text:
            continue  # it sets keys that stand elsewhere
        group = path.parent.relative_to(conf_dir).parts
        if path.parent == conf_dir and path.stem != "train":
            group = (path.stem.removesuffix("_base"),)  # what every option of the group begins with
        keys.update(group)
        content = yaml.safe_load(text)
        if isinstance(content, dict):
            keys.update(_dotted(content, group))
    return sorted(keys)


def _keys_of(conf_dir: Path, group: str, option: str) -> list[str]:
    """Dotted keys of an option: its own, those of the options it begins with, and where it places other groups."""
    import yaml

    content = yaml.safe_load((conf_dir / group / f"{option}.yaml").read_text())
    if not isinstance(content, dict):
        return []
    keys = list(_dotted(content, [group]))
    for entry in content.get("defaults", []):
        if isinstance(entry, str) and (conf_dir / group / f"{entry}.yaml").is_file():
            keys += _keys_of(conf_dir, group, entry)
        elif isinstance(entry, dict):
            keys += [f"{group}.{name.partition('@')[2]}" for name in entry if "@" in name]
    return keys


def _dotted(node: dict[str, object], prefix: Sequence[str]) -> Iterable[str]:
    content = {key: value for key, value in node.items() if key != "defaults"}
    return [key for key, _ in walk(content, ".".join(prefix), into_lists=False) if key]
