"""A basket for Icinga Director: the commands with their fields, and the service templates."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from nagios_definitions.commands import PLUGINS, Command, Option

Json = dict[str, Any]

_STRING = "Icinga\\Module\\Director\\DataType\\DataTypeString"
_BOOLEAN = "Icinga\\Module\\Director\\DataType\\DataTypeBoolean"
_ARRAY = "Icinga\\Module\\Director\\DataType\\DataTypeArray"


def render(commands: Iterable[Command]) -> str:
    """Give the file; ``icingacli director basket restore < FILE`` imports it."""
    listed = tuple(commands)
    fields: dict[str, Json] = {}
    for command in listed:
        for option in command.options:
            fields.setdefault(option.variable, _field(option))
    numbers = {variable: str(number) for number, variable in enumerate(fields, 1)}
    basket = {
        "Command": {command.name: _command(command, numbers) for command in listed},
        "Datafield": {numbers[variable]: field for variable, field in fields.items()},
        "ServiceTemplate": {
            "kvm-service": _template(
                "kvm-service", check_interval="60", retry_interval="60", max_check_attempts="5"
            ),
            **{
                command.name: _template(
                    command.name,
                    imports=[*filter(None, ("kvm-service", command.pace))],
                    check_command=command.name,
                )
                for command in listed
            },
            "kvm-rate": _template("kvm-rate", max_check_attempts="10"),
            "kvm-parent": _template("kvm-parent", retry_interval="30", max_check_attempts="5"),
            "kvm-passive": _template(
                "kvm-passive",
                check_command="dummy",
                check_interval="300",
                retry_interval="300",
                max_check_attempts="5",
                vars={
                    "dummy_state": "3",
                    "dummy_text": "No result from nagios_kvm publish: does its timer kvmwatch-publish run, "
                    "or is the VM gone or moved?",
                },
            ),
        },
    }
    return json.dumps(basket, ensure_ascii=False, indent=2) + "\n"


def _command(command: Command, numbers: dict[str, str]) -> Json:
    return {
        "arguments": {option.flag: _argument(option) for option in command.options},
        "command": f"{PLUGINS}/{command.name}",
        "fields": [
            {"datafield_id": int(numbers[option.variable]), "is_required": "n", "var_filter": None}
            for option in command.options
        ],
        "imports": [],
        "methods_execute": "PluginCheck",
        "object_name": command.name,
        "object_type": "object",
        "timeout": "60",
        "vars": command.variables,
    }


def _argument(option: Option) -> Json:
    made: Json = {"description": option.help}
    if option.own == option.variable:
        made["value" if option.takes_value else "set_if"] = f"${option.own}$"
    elif option.takes_value:
        made["value"] = {"type": "Function", "body": option.function}
    else:  # of which Director forgets the body when it comes as a function
        made |= {"set_if": option.function, "set_if_format": "expression"}
    if option.repeatable:
        made["repeat_key"] = True
    return made


def _field(option: Option) -> Json:
    kind = _BOOLEAN if not option.takes_value else _ARRAY if option.repeatable else _STRING
    settings: Json = {_STRING: {"visibility": "visible"}, _ARRAY: {"sort": "n"}, _BOOLEAN: {}}[kind]
    return {
        "varname": option.variable,
        "caption": f"KVM: {option.flag.lstrip('-')}",
        "description": option.help,
        "datatype": kind,
        "format": None,
        "settings": settings,
    }


def _template(name: str, **fields: Any) -> Json:
    return {"imports": [], "object_name": name, "object_type": "template", "vars": {}, **fields}
