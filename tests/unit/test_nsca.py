"""What goes to send_nsca."""

from nagios_kvm.judging import Result
from nagios_kvm.nsca import packet, sent


def test_a_packet_is_one_line_of_four_fields() -> None:
    line = packet("kvm1", Result("KVM state a", 2, "x\ty\nz" * 4000))
    assert line
    assert (line.count(b"\t"), line.count(b"\n")) == (3, 1)
    assert len(line.split(b"\t")[3]) <= 4096
    assert packet("kvm1", Result("s" * 128, 0, "OK")) is None


def test_only_what_it_says_it_sent_counts() -> None:
    assert sent("12 data packet(s) sent to host successfully.\n") == 12
    assert sent("Error: Timeout after 10 seconds") == 0
