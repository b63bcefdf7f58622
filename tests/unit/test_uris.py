"""What a URI says of where its hypervisor is, as urllib reads it."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from kvmwatch.reading.connection import authority, is_local, is_of_session, is_ssh, uri_scheme

URIS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["qemu", "qemu+ssh", "qemu+tls", "QEMU+TCP", "test", "xen+libssh2", "lxc"]),
    st.sampled_from(["", "kvm2", "root@kvm2", "root@kvm2:2222", "192.0.2.7", "[2001:db8::1]:16514", "user@[::1]"]),
    st.sampled_from(["", "/", "/system", "/session", "/default", "/srv/a b/x.xml", "/a:b"]),
    st.sampled_from(["", "?socket=/run/x/session", "?keyfile=/a:b&no_verify=1", "?netcat=/x?y://z/session"]),
)


@given(URIS)
def test_uris_are_read_as_urllib_reads_them(uri: str) -> None:
    parts = urlsplit(uri)
    assert uri_scheme(uri) == parts.scheme.partition("+")[0]
    assert authority(uri) == parts.netloc
    assert is_local(uri) == (not parts.hostname and parts.scheme != "test")
    assert is_ssh(uri) == ("ssh" in parts.scheme)
    assert is_of_session(uri) == (parts.path == "/session")


def test_what_is_no_uri_has_no_driver() -> None:
    assert [uri_scheme(uri) for uri in ("", "kvm2", "/run/libvirt/libvirt-sock")] == ["", "", ""]
