"""The lines of a Checkmk local check: what reads them there must be able to take each apart again."""

from __future__ import annotations

import re

import pytest
from check_kvm.frame import labels
from hypothesis import given
from hypothesis import strategies as st
from nagios_kvm import checkmk
from nagios_kvm.judging import Result
from nagios_kvm.names import ServiceName

#: as Checkmk's documentation has it; its names of metrics are letters, digits and _
METRIC = r"[A-Za-z][A-Za-z0-9_]*=-?[0-9.]+(;(-?[0-9.]+)?){0,4}"
LINE = re.compile(rf"([0-3]) \"([^\"']+)\" (-|{METRIC}(?:\|{METRIC})*) (.*)")


@pytest.mark.parametrize(
    ("perfdata", "made"),
    [
        ("usage=12.5%;80;90;0;100", "usage=12.5;80;90;0;100"),
        ("rss=1024B;;;0 swap=0B;~:5;0:6;0", "rss=1024;;;0|swap=0;5;6;0"),
        ("free=5B;10:;@3:4;0", "free=5;;;0"),
        ("'vda.read_iops'=3;;;0 'vda_read.iops'=4", "vda_read_iops=3;;;0|vda_read_iops_2=4"),
        ("usage=U;80 running=1", "running=1"),
        ("'/srv/a b.filesystem'=7%", "m_srv_a_b_filesystem=7"),
        ("", "-"),
    ],
)
def test_metrics(perfdata: str, made: str) -> None:
    output = f"KVM_X OK - web1 fine | {perfdata}" if perfdata else "KVM_X OK - web1 fine"
    assert checkmk.line(Result("KVM x web1", 0, output)) == f'0 "KVM x web1" {made} KVM_X OK - web1 fine'


def test_more_lines_are_details() -> None:
    told = Result("KVM host", 2, "KVM_HOST CRITICAL - bad | load=9;;;0\n[CRITICAL] bad\n[OK] C:\\new")
    assert checkmk.line(told) == (
        r'2 "KVM host" load=9;;;0 KVM_HOST CRITICAL - bad\n[CRITICAL] bad\n[OK] C:/new'
    )  # else \n of a guest's name would begin a line


@given(
    st.text(min_size=1), st.text(), st.sampled_from(range(4)), st.dictionaries(st.text(min_size=1), st.integers())
)
def test_every_line_can_be_read(name: str, text: str, code: int, values: dict[str, int]) -> None:
    service = str(ServiceName("cpu", name))
    perfdata = " ".join(f"'{labels.label(name, part)}'={value};1:2;3" for part, value in values.items())
    output = f"KVM_CPU OK - {labels.text(text)}" + (f" | {perfdata}" if values else "")
    found = LINE.fullmatch(checkmk.line(Result(service, code, output)))
    assert found, checkmk.line(Result(service, code, output))
    assert (found[1], found[2]) == (str(code), service)
    names = re.findall(r"([A-Za-z0-9_]+)=", found[3])
    assert len(names) == len(set(names)) == len(values)
