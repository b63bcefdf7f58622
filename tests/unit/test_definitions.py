"""The definition files are what the generator makes of the checks' options today."""

from __future__ import annotations

import json

import pytest
from commands import CHECKS
from generated import assert_up_to_date
from nagios_definitions import files
from nagios_definitions.commands import commands

FILES = files.files()


@pytest.mark.parametrize("path", FILES)
def test_files_are_up_to_date(path: str) -> None:
    assert_up_to_date(files.CHECKS / path, FILES[path], "definitions")


def test_every_command_has_every_option() -> None:
    listed = commands()
    wrong = {command.check for command in listed} ^ set(CHECKS)
    assert not wrong, (
        f"tools/nagios_definitions/commands.py has not just the checks of checks/check_kvm: {sorted(wrong)}"
    )
    for command in listed:
        flags = {option.flag for option in command.options}
        missing = {"--uri", "--domain", "--warning", "--critical", "--config", "--perfdata", "--timeout"} - flags
        assert not missing, (
            f"check_kvm_{command.check} lost {sorted(missing)}: see checks/check_kvm/frame/plugin.py"
        )
        helpless = [option.flag for option in command.options if not option.help]
        assert not helpless, f"check_kvm_{command.check} {helpless} without help: say it where it is added"


def test_basket_refers_to_fields_that_there_are() -> None:
    basket = json.loads(FILES["icinga2/director-basket.json"])
    for command in basket["Command"].values():
        missing = {str(field["datafield_id"]) for field in command["fields"]} - basket["Datafield"].keys()
        assert not missing, f"tools/nagios_definitions/director.py: no data fields {sorted(missing)}"
    for template in basket["ServiceTemplate"].values():
        missing = set(template["imports"]) - basket["ServiceTemplate"].keys()
        assert not missing, f"tools/nagios_definitions/director.py: no service templates {sorted(missing)}"


def test_each_command_has_variables_of_its_own() -> None:
    """What one check is given by its own variable reaches no other, and none is another's general one."""
    listed = commands()
    general = {option.variable for command in listed for option in command.options}
    owners = [option.own for command in listed for option in command.options if option.own not in general]
    assert len(owners) == len(set(owners))
    for command in listed:
        shared = {option.flag for option in command.options if option.own == option.variable}
        assert shared == {"--uri", "--domain", "--exclude", "--config", "--state-dir"}


def test_import_basket_refers_to_what_there_is() -> None:
    first, second = (json.loads(FILES[f"icinga2/director{part}basket.json"]) for part in ("-", "-import-"))
    templates = first["ServiceTemplate"].keys()
    for services in second["ServiceSet"].values():
        for service in services["services"].values():
            assert not set(service["imports"]) - templates
    (source,) = second["ImportSource"].values()
    (rule,) = second["SyncRule"].values()
    assert {one["source"] for one in rule["properties"]} == {source["source_name"]}
