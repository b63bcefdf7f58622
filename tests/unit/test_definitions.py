"""The definition files are what the generator makes of the checks' options today."""

from __future__ import annotations

import json

import pytest
from commands import CHECKS
from nagios_definitions import files
from nagios_definitions.commands import commands

FILES = files.files()


@pytest.mark.parametrize("path", FILES)
def test_files_are_up_to_date(path: str) -> None:
    assert (files.CHECKS / path).read_text(encoding="utf-8") == FILES[path], "run 'make definitions'"


def test_every_command_has_every_option() -> None:
    listed = commands()
    assert {command.check for command in listed} == set(CHECKS)
    for command in listed:
        flags = {option.flag for option in command.options}
        assert {"--uri", "--domain", "--warning", "--critical", "--config", "--perfdata", "--timeout"} <= flags
        assert all(option.help for option in command.options)


def test_basket_refers_to_fields_that_there_are() -> None:
    basket = json.loads(FILES["icinga2/director-basket.json"])
    for command in basket["Command"].values():
        assert {str(field["datafield_id"]) for field in command["fields"]} <= basket["Datafield"].keys()
    for template in basket["ServiceTemplate"].values():
        assert set(template["imports"]) <= basket["ServiceTemplate"].keys()
