"""The pages of commands: what --help says, from the command lines themselves."""

import importlib
import re
from typing import Any

import typer

#: Group or command, argument or option of the library behind typer, which it does not name.
_Command = Any
_Parameter = Any

#: Where the command line of each program is, or what makes it.
_MODULES = {
    "ichnode": ("dicom_node.cli.app", "app"),
    "ichtrain": ("training.cli", "application"),
}
_KINDS = {"Path": "PATH", "int": "NUMBER", "float": "NUMBER"}


def command_page(program: str) -> str:
    """Return every command of a program with arguments and options, in Markdown."""
    module, name = _MODULES[program]
    found = getattr(importlib.import_module(module), name)
    group = typer.main.get_command(found if isinstance(found, typer.Typer) else found())
    head = f"""# Commands of {program}

Written from the command line itself when this site is built; `{program} COMMAND --help` says the
same.
"""
    parts = [head]
    for name, command in _commands(group, program):
        parts.append(_section(name, command))
    return "\n".join(parts)


def _commands(group: _Command, prefix: str) -> list[tuple[str, _Command]]:
    found = []
    for name, command in group.commands.items():
        if command.hidden:
            continue
        called = f"{prefix} {name}"
        if hasattr(command, "commands"):
            found += _commands(command, called)
        else:
            found.append((called, command))
    return found


def _section(name: str, command: _Command) -> str:
    """Return heading, usage, help and a table of what can be given."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [
        one
        for one in command.params
        if one.param_type_name == "option" and not one.hidden and "--help" not in one.opts
    ]
    usage = " ".join(
        [name, *(_metavar(one) for one in arguments), *(["[OPTIONS]"] if options else [])]
    )
    rows = [f"| `{_metavar(one)}` | {_words(one)} |" for one in arguments]
    rows += [f"| {_option(one)} | {_words(one)} |" for one in options]
    table = (
        "\n".join(["| Argument or option | Meaning |", "| --- | --- |", *rows, ""]) if rows else ""
    )
    return f"## {name}\n\n```text\n{usage}\n```\n\n{_help(command)}\n\n{table}"


def _help(command: _Command) -> str:
    """Return the help with its examples as blocks of code."""
    text = (command.help or "").replace("\f", "").strip()
    return re.sub(r"\n\n((?: {4}\S.*\n?(?:\n(?= {4}))?)+)", _block, text + "\n")


def _block(match: re.Match[str]) -> str:
    lines = [line.strip() for line in match[1].splitlines() if line.strip()]
    return "\n\n```sh\n" + "\n".join(lines) + "\n```\n"


def _metavar(one: _Parameter) -> str:
    name = one.metavar or one.name.upper()
    return name if one.required or name.startswith("[") else f"[{name}]"


def _option(one: _Parameter) -> str:
    names = ", ".join(f"`{name}`" for name in [*one.opts, *one.secondary_opts])
    if one.is_flag:
        return names
    kind = one.type_descriptor.annotation.__name__
    return f"{names} `{one.metavar or _KINDS.get(kind, 'TEXT')}`"


def _words(one: _Parameter) -> str:
    words = (one.help or "").replace("|", "\\|").replace("\n", " ").strip()
    default = one.default
    if one.required:
        return f"{words} Required.".strip()
    if default not in (None, False, "", (), []) and not callable(default):
        return f"{words} Default: `{getattr(default, 'value', default)}`.".strip()
    return words
