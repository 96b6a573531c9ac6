"""A name that an override's dictionary gives twice, which Hydra would read as the last one alone.

YAML refuses it where it loads a file. Hydra makes a Python dictionary of what is typed, in which the first value is
gone without a word, so the text is parsed by Hydra's grammar, and its names are counted before.
"""

from __future__ import annotations

from typing import Any

from hydra.errors import HydraException

from vision_baselines.errors import ConfigError


def require_each_name_once(override: str) -> None:
    """Refuse an override with a dictionary, at any depth, in which a name stands twice.

    What Hydra's grammar cannot read is left to Hydra.

    Raises:
        ConfigError: Which name.
    """
    if "{" not in override:
        return
    from hydra.core.override_parser.overrides_visitor import HydraErrorListener
    from hydra.grammar.gen.OverrideLexer import (  # type: ignore[attr-defined]
        CommonTokenStream,
        InputStream,
        OverrideLexer,
    )
    from hydra.grammar.gen.OverrideParser import OverrideParser

    lexer = OverrideLexer(InputStream(override))
    parser: Any = OverrideParser(CommonTokenStream(lexer))
    for reader in (lexer, parser):
        reader.removeErrorListeners()
        reader.addErrorListener(HydraErrorListener())
    try:
        waiting = [parser.override()]
    except HydraException:
        return
    while waiting:
        node = waiting.pop()
        children = getattr(node, "children", None) or []
        waiting += children
        if isinstance(node, OverrideParser.DictContainerContext):
            pairs: list[Any] = [
                child for child in children if isinstance(child, OverrideParser.DictKeyValuePairContext)
            ]
            names = [pair.dictKey().getText().strip() for pair in pairs]
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                key = override.partition("=")[0].lstrip("+")
                raise ConfigError(f"{key} has the name {twice[0]} twice, and only the last would count; give it once")
