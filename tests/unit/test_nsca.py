"""What goes to send_nsca."""

from nagios_kvm.judging import Result
from nagios_kvm.nsca import packet, sent

ODD = ("OK", "x\ty\nz" * 4000, "two\nlines", "back\\slash \\n", "Büro | a=1", "a\x17b")


def test_a_packet_has_four_fields_and_an_end() -> None:
    """As send_nsca 2.10 reads it: with a newline at the end, all results were one packet."""
    sent_ones = b"".join(filter(None, (packet("kvm1", Result("KVM state a", 2, text)) for text in ODD)))
    *packets, rest = sent_ones.split(b"\x17")
    assert (len(packets), rest) == (len(ODD), b"")
    for one, text in zip(packets, ODD):
        assert one.count(b"\t") == 3
        output = one.split(b"\t")[3]
        assert 0 < len(output) <= 4095
        assert output.decode() == text.replace("\t", " ").replace("\x17", " ") or len(text) > 4000
    assert packet("kvm1", Result("s" * 128, 0, "OK")) is None


def test_only_what_it_says_it_sent_counts() -> None:
    assert sent("12 data packet(s) sent to host successfully.\n") == 12
    assert sent("Error: Timeout after 10 seconds") == 0
