"""The reference of the config as Markdown: a page for each group of conf/, with its options and every key."""

from __future__ import annotations

import re

from documentation.config_keys import Key, Option, default_option, groups, merged, options
from documentation.refusals import refusals
from vision_baselines.errors import ConfigError

_FILLERS = frozenset(re.findall(r"\w+", "a an the of it is are in for these those where there they that to"))
_WORD = r"(?:'[\w.+~@/]+=[^']*'|[\w.+~@/]+=[^\s,;:()]*[^\s,;:().])"
# overrides, one or several; dotted keys and file names; a command; constants of YAML
_CODE = re.compile(
    rf"python scripts/\S+(?: (?:{_WORD}|-m|--[\w-]+(?: \w+)?|…))*|{_WORD}(?: {_WORD})*"
    r"|(?<![\w.])\w+(?:\.[a-z_]\w*)+|\b(?:null|true|false)\b"
)


def group_page(group: str) -> str:
    """What the page of a group shows: its options, then its keys; of ``train``, the keys that no group has.

    Raises:
        ConfigError: There is no such group.
    """
    if group in ("train", "comparison"):
        [top] = [option for option in options() if option.name == "train"]
        mine = [key for key in top.keys if key.name.startswith("comparison.") == (group == "comparison")]
        return _keys_section({key.name: [(key, ["train"])] for key in mine}, 1)
    if group not in groups():
        raise ConfigError(f"conf/ has no group {group!r}; there are: {', '.join(groups())}")
    found = sorted(groups()[group], key=lambda option: not option.name.endswith("_base"))  # what all have first
    parts = [_options_table(group, found)] if len(found) > 1 or found[0].about else []
    inner = [name for name in groups() if name.startswith(f"{group}/")]
    parts += [_keys_section(merged(found), len([o for o in found if o.keys]))]
    for name in inner:
        parts += [f"## `{name}=`", _options_table(name, groups()[name])]
        parts += [_keys_section(merged(groups()[name]), len(groups()[name]), title="")]
    return "\n\n".join(part for part in parts if part)


def groups_table(_: str = "") -> str:
    """Every group, its default and its options."""
    rows = ["| group | by default | options |", "|---|---|---|"]
    for group, found in groups().items():
        page = group.split("/")[0]
        target = "experiments.md" if group == "experiment" else f"config/{page}.md"
        names = ", ".join(f"`{option.name}`" for option in found if not option.name.endswith("_base"))
        shown = f"{len(found)} of them" if group == "experiment" else names
        rows.append(f"| [`{group}=`]({target}) | {_code(default_option(group)) or 'none'} | {shown} |")
    return "\n".join(rows)


def experiments_page(_: str = "") -> str:
    """Every file of conf/experiment: its command, what it found, and which keys it sets."""
    parts = []
    for option in groups()["experiment"]:
        command, _, rest = option.about.partition("\n")
        parts += [f"## {option.name}", f"```sh\n{command}\n```", _prose(" ".join(rest.split()))]
        shown = [key for key in option.sets if not key.name.startswith("expected.") and key.name != "name"]
        rows = [f"`{key.name}` = {_code(key.default)}" for key in shown]
        parts.append("Sets " + " · ".join([*rows, *(_base(name) for name in option.based_on)]) + ".")
    return "\n\n".join(part for part in parts if part)


def _options_table(group: str, found: list[Option]) -> str:
    rows = ["| option | |", "|---|---|"]
    for option in found:
        if option.name.endswith("_base"):
            continue
        said = [re.sub(r"(?<![.:])\n", "<br>", _prose(option.about)).replace("\n", " ")]
        bases = [name for name in option.based_on if not name.startswith("/data_base")]
        said += ["Begins with " + ", ".join(_base(name) for name in bases) + "."] if bases else []
        said += [f"Sets {', '.join(f'`{key.name}={key.default}`' for key in option.sets)}."] if option.sets else []
        said += [f"Builds `{option.target}`."] if option.target else []
        default = " (default)" if option.name == default_option(group) else ""
        text = " ".join(part for part in said if part) or ("Nothing." if option.name == "none" else "")
        rows.append(f"| `{option.name}`{default} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def _keys_section(found: dict[str, list[tuple[Key, list[str]]]], total: int, title: str = "## Keys") -> str:
    return "\n\n".join([title if found else "", *(_entry(name, found[name], total) for name in found)]).strip()


def _entry(name: str, variants: list[tuple[Key, list[str]]], total: int) -> str:
    """One key: its defaults, what it does, and what is refused."""
    defaults: dict[str, list[str]] = {}
    for key, names in variants:
        defaults.setdefault(_code(key.default) or "`''`", []).extend(names)
    everywhere = len(defaults) == 1 and sum(map(len, defaults.values())) >= total
    shown = [
        value if everywhere or any(name.endswith("_base") for name in names) else f"{value} ({', '.join(names)})"
        for value, names in defaults.items()
    ]
    said: dict[str, list[str]] = {}
    for key, names in variants:
        said.setdefault(_description(key), []).extend(names)
    said.pop("", None)
    texts = [text if len(said) == 1 else f"{', '.join(names)}: {text}" for text, names in said.items()]
    kinds = next((kind for key, _ in variants if (kind := key.kind)), "")
    lines = [f"::::{{confval}} {name}", f":default: {', '.join(shown)}", *([f":type: {kinds}"] if kinds else []), ""]
    return "\n".join([*lines, "\n\n".join([*texts, *refusals(name)]), "::::"])


def _description(key: Key) -> str:
    """The docstring's text and the comment's, or one of them where it has all that the other says."""
    first, second = _sentence(key.argument), _sentence(key.comment)
    said, more = (frozenset(re.findall(r"\w+", text.lower())) - _FILLERS for text in (first, second))
    return first if more <= said else second if said <= more else f"{first} {second}"


def _sentence(text: str) -> str:
    """A comment as a sentence; a value that it begins with, as in ``null: none are``, keeps its case."""
    shown = _prose(re.sub(r"^([a-z]\w*|\[.*?\]|\{.*?\}):", r"`\1`:", text))
    return f"{shown[:1].upper()}{shown[1:]}{'' if shown.endswith(('.', '?')) else '.'}" if shown else ""


def _base(name: str) -> str:
    return f"`{name.removeprefix('override ').removeprefix('/').replace('@_here_', '')}`"


def _code(text: str) -> str:
    short = text if len(text) <= 60 and "\\n" not in text else text[:57].split("\\n")[0].rstrip() + " …"
    return f"`{short}`" if text else ""


def _prose(text: str) -> str:
    """A comment as Markdown: keys, commands and constants as code, and nothing else read as markup."""
    plain = re.sub(r"\bNone\b", "null", text.replace("``", "`")).replace("<", "&lt;")
    parts = re.split(r"(`[^`]*`)", plain)
    return "".join(part if part.startswith("`") else _CODE.sub(r"`\g<0>`", part).replace("*", r"\*") for part in parts)
