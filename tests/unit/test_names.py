"""Service names are legal for Nagios and Icinga, and give the VM's name back (property test)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nagios_kvm.names import ServiceName, decode, encode

ILLEGAL = set("`~!$%^&*|'\"<>?,()=;\\")


@given(st.text(min_size=1))
def test_reversible_and_legal(name: str) -> None:
    encoded = encode(name)
    assert decode(encoded) == name
    assert not ILLEGAL & set(encoded)
    assert encoded == encoded.strip()
    assert "  " not in encoded
    assert encoded.isprintable()
    service = ServiceName("cpu", name)
    assert ServiceName.parse(str(service)) == service


def test_usual_names_stay_as_they_are() -> None:
    assert str(ServiceName("cpu", "web-1.example_com")) == "KVM cpu web-1.example_com"
    assert str(ServiceName("cpu", "Büro VM")) == "KVM cpu Büro VM"
    assert str(ServiceName("disk", "it's | 100%")) == "KVM disk it+27.s +7C. 100+25."
    assert str(ServiceName("host")) == "KVM host"


def test_names_of_others() -> None:
    for text in ("PING", "KVM", "", "Disk KVM"):
        with pytest.raises(ValueError, match="is no service of kvmwatch"):
            ServiceName.parse(text)
