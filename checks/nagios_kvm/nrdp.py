"""NRDP, Nagios's remote data processor: passive results by HTTPS, many in a request (token, cmd, XMLDATA)."""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Sequence
from itertools import islice
from xml.etree import ElementTree as ET

import requests
from check_kvm.frame.output import DEFAULT_LIMIT
from check_kvm.frame.perfdata import FULL

from kvmwatch.command import given
from kvmwatch.command.web import Secrets, check_private
from kvmwatch.model.errors import KvmwatchError, UsageError
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.https import no_answer, session
from nagios_kvm.judging import Result
from nagios_kvm.targets import Owners, Taken
from nagios_kvm.turns import Turns

SCHEME = "nrdp+"
_BATCH = 50  # results in a request
_OK = "0"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2 Characters


class Nrdp:
    """A receiver with a token. It does not tell which services its Nagios has."""

    limit = DEFAULT_LIMIT
    words = "{to} took {number} of {total} results for host {host}"
    perfdata = FULL

    def __init__(self, url: str, credentials: str | None, ca_file: str | None, allow_http: bool = False) -> None:
        """``url``: nrdp+https://HOST/nrdp/. KvmwatchError when others could read the token, or this cannot."""
        if not credentials:
            raise UsageError("--to nrdp+URL needs --credentials FILE with 'token = ...'")
        self._url = url[len(SCHEME) :]
        check_private(self._url, allow_http)
        self._ca_file = ca_file
        self._token = _token(credentials)
        self._secrets = Secrets(self._token)

    def owners(self, _results: Sequence[Result], _deadline: Deadline) -> Owners:
        """None: it does not tell what its Nagios has."""
        return {}

    def send(self, host: str, results: Turns, deadline: Deadline) -> Taken:
        """Send results in batches; what the receiver does not say it processed was not taken."""
        taken, why = 0, ""
        with session(self._ca_file) as connection:
            while deadline.remaining() and (batch := list(islice(results, _BATCH))):
                fields = {"token": self._token, "cmd": "submitcheck", "XMLDATA": document(host, batch)}
                try:
                    answer = connection.post(self._url, data=fields, timeout=deadline.remaining())
                except requests.RequestException as error:
                    why = no_answer("NRDP", error, self._secrets)
                    results.give_back(batch)
                    break
                number, refused = processed(answer.content, answer.status_code, self._secrets)
                number = min(number, len(batch))
                taken += number
                if number < len(batch):
                    why = refused or f"NRDP processed {number} of {len(batch)} results"
                    results.give_back(batch[number:])
                    break
        if why and not taken:
            raise KvmwatchError(f"{self._url}: {why}")
        return Taken(taken, (), why)


def document(host: str, batch: list[Result]) -> bytes:
    """The XMLDATA of some results."""
    root = ET.Element("checkresults")
    for result in batch:
        one = ET.SubElement(root, "checkresult", type="service", checktype="1")
        # it makes \\n of a newline, and has Nagios read whatever else follows a backslash
        output = result.output.replace("\\", "\\\\")
        values = (result.host or host, result.service, str(result.code), output)
        for name, value in zip(("hostname", "servicename", "state", "output"), values):
            ET.SubElement(one, name).text = _NO_XML.sub(" ", value)
    body: bytes = ET.tostring(root, "utf-8")
    return b"<?xml version='1.0' encoding='utf-8'?>" + body.split(b"?>", 1)[-1]


def processed(body: bytes, code: int, secrets: Secrets) -> tuple[int, str]:
    """How many results an answer says were processed, and else why not, without the secrets that it may repeat."""
    answer = _answer(body)
    status, message, output = (answer.get(name) for name in ("status", "message", "output"))
    if status is None or (status == _OK and code != requests.codes.ok):
        return 0, f"no NRDP answers there, but something with HTTP {code}: see the URL"
    if status != _OK:
        return 0, f"NRDP refuses: {secrets.one_line(message or status)}"
    number = re.match(r"(\d{1,9}) checks? processed", output or "")
    return (int(number[1]), "") if number else (0, "NRDP does not say how many results it took")


def _answer(body: bytes) -> dict[str, str]:
    """The fields of an answer in XML or JSON, those in ``meta`` among them; none of anything else."""
    try:
        text = body.decode("utf-8-sig").strip()
        if text.startswith("{"):
            result = json.loads(text)["result"]
            return {name: str(value) for name, value in {**result, **result.get("meta", {})}.items()}
        if "<!" in text:  # it has no need of entities, which can be made to take a machine's memory
            return {}
        return {field.tag: (field.text or "").strip() for field in _root(text).iter()}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, ET.ParseError):
        return {}


def _root(text: str) -> ET.Element:
    root = ET.fromstring(text)
    return root if root.tag == "result" else ET.Element("other")


def _token(file: str) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    text = given.read("--credentials", file, UsageError, private=True)
    try:
        parser.read_string("[nrdp]\n" + text)
        token = parser["nrdp"]["token"]
    except (configparser.Error, KeyError):
        token = ""
    if not token:
        raise UsageError(f"{file}: it needs the line 'token = ...'")
    return token
