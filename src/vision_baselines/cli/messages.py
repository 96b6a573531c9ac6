"""What Hydra and OmegaConf raise, told in a line or two with the nearest right word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.errors import OverrideParseException

from vision_baselines.errors import ConfigError, VisionBaselinesError

# Options that come with Hydra or its plugins and so have no file in conf/.
_HYDRAS_OWN = {"hydra/launcher": {"basic", "joblib"}, "hydra/sweeper": {"basic"}}


def one_line(error: BaseException, conf_dir: Path) -> VisionBaselinesError:
    """The error behind `error`, if it is one of ours, else a `ConfigError` that says the same in a line or two."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, VisionBaselinesError):
            return cause
    text = "\n".join(str(cause) for cause in causes)
    for cause in causes:
        if isinstance(cause, OverrideParseException):
            return ConfigError(_unreadable(cause.override))
    if match := re.search(r"Could not find '([^']+)'", text):
        return ConfigError(_unknown_option(match[1], conf_dir))
    if match := re.search(r"Could not override '([^']+)'", text):
        # of a dictionary that is merged into one, the key inside it that is not there
        inside = re.search(rf"full_key: ({re.escape(match[1])}\.\S+)", text)
        return ConfigError(_unknown_key(inside[1] if inside else match[1], conf_dir))
    if match := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return ConfigError(f"{match[1]} lists several values; add -m (--multirun) to sweep them, or quote the value")
    if match := re.search(r"Could not append to config\. An item is already at '([^']+)'", text):
        return ConfigError(f"{match[1]} is set already; write {match[1]}=… without the +")
    first = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ConfigError(" ".join(first[:2]) or type(error).__name__)


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
    quoted = value.strip("'\"").replace("\\", "\\\\").replace('"', '\\"')
    return f"the value in {override!r} cannot be read; put it in quotes inside quotes: '{key}=\"{quoted}\"'"


def _unknown_option(name: str, conf_dir: Path) -> str:
    group, _, option = name.rpartition("/")
    options = _options(conf_dir / group)
    if not options:
        groups = sorted(path.name for path in conf_dir.iterdir() if path.is_dir())
        return f"there is no config group {group!r}{nearest(group, groups)} (groups: {', '.join(groups)})"
    return f"{group}={option} does not exist{nearest(option, options)} (there are: {', '.join(options)})"


def _unknown_key(key: str, conf_dir: Path) -> str:
    _, _, key = key.rpartition("@")  # of a group placed elsewhere, the place
    group, *rest = key.split(".")
    owners = [option for option in _options(conf_dir / group) if rest and key in _keys_of(conf_dir, group, option)]
    if owners:
        return f"there is no key {key!r} with the {group} that is chosen; it belongs to {group}={' and '.join(owners)}"
    hint = nearest(key, _keys(conf_dir))
    return f"there is no key {key!r} in the config{hint}\nTo add a key that is not there, write +{key}=…"


def _options(group: Path) -> list[str]:
    found = {path.stem for path in group.glob("[!_]*.yaml")} if group.is_dir() else set()
    return sorted(found | _HYDRAS_OWN.get("/".join(group.parts[-2:]), set()))


def _keys(conf_dir: Path) -> list[str]:
    """Every dotted key that stands in a config file, whichever option of its group is chosen, and every group."""
    import yaml

    keys: set[str] = set()
    for path in sorted(conf_dir.rglob("*.yaml")):
        group = path.parent.relative_to(conf_dir).parts
        if path.parent == conf_dir and path.stem != "train":
            continue
        keys.update(group)
        content = yaml.safe_load(path.read_text())
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
    for key, value in node.items():
        if key == "defaults":
            continue
        yield ".".join([*prefix, str(key)])
        if isinstance(value, dict):
            yield from _dotted(value, [*prefix, str(key)])


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
