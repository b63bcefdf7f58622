"""What goes to send_nsca."""

from __future__ import annotations

from pathlib import Path

import pytest
from hanging import program
from nagios_kvm.judging import Result
from nagios_kvm.nsca import Nsca, packet, sent
from nagios_kvm.turns import Turns

from kvmwatch.model.errors import KvmwatchError
from kvmwatch.reading.deadline import Deadline

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


SAYS = "data packet(s) sent to host successfully."


@pytest.fixture
def turns(tmp_path: Path) -> Turns:
    return Turns(
        str(tmp_path / "state"), (), [Result(f"KVM state vm{number:03}", 0, "OK") for number in range(250)]
    )


def nsca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Nsca:
    """One whose send_nsca is this script; each call adds a line to the file "calls"."""
    program(tmp_path, f'cat > {tmp_path}/in; echo "$@" >> {tmp_path}/calls; {text}').rename(tmp_path / "send_nsca")
    monkeypatch.setattr("nagios_kvm.nsca._PATH", str(tmp_path))
    return Nsca("nsca://nagios", None)


@pytest.mark.parametrize(
    ("third", "number", "why", "left"),
    [
        (f"echo 50 '{SAYS}'", 250, "", None),
        (
            "echo Error: Could not send data to host; exit 3",
            200,
            "send_nsca: Error: Could not send",
            "KVM state vm200",
        ),
        (f"echo 20 '{SAYS}'; exit 2", 220, f"send_nsca: 20 {SAYS}", "KVM state vm220"),
        (f"echo 49 '{SAYS}'", 249, f"send_nsca: 49 {SAYS}", "KVM state vm249"),
        (f"echo 999 '{SAYS}'", 250, "", None),
        ("exit 1", 200, "send_nsca: exit code 1", "KVM state vm200"),
        ("kill -KILL $$", 200, "send_nsca: ended by signal 9", "KVM state vm200"),
        ("kill -PIPE $$", 200, "send_nsca: the daemon hung up: password", "KVM state vm200"),
    ],
)
def test_a_batch_that_fails_takes_nothing_from_those_before(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    turns: Turns,
    third: str,
    number: int,
    why: str,
    left: str | None,
) -> None:
    text = f"if [ $(wc -l < {tmp_path}/calls) -lt 3 ]; then echo 100 '{SAYS}'; else {third}; fi"
    taken = nsca(tmp_path, monkeypatch, text).send("kvm1", turns, Deadline(60))
    assert (taken.number, taken.why[: len(why) or None]) == (number, why)
    assert turns.keep() == left
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 3
    assert all(0 < int(call.split("-to ")[1]) <= 60 for call in calls), "its own limit is the time that is left"


def test_names_that_are_too_long_are_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = nsca(tmp_path, monkeypatch, f"echo 1 '{SAYS}'")
    long = Result("KVM state " + "x" * 118, 0, "OK")
    taken = made.send("kvm1", Turns(str(tmp_path), (), [Result("KVM host", 0, "OK"), long]), Deadline(60))
    assert (taken.number, taken.failed(2)) == (1, True)
    assert "a name that is too long for NSCA (of a host 63 bytes, of a service 127): KVM state xxx" in taken.why
    many = [
        *[long._replace(service=f"{long.service}{number}") for number in range(150)],
        Result("KVM host", 0, "OK"),
    ]
    assert made.send("kvm1", Turns(str(tmp_path), (), many), Deadline(60)).number == 1
    with pytest.raises(KvmwatchError, match="2 names that are too long for NSCA"):
        made.send("kvm1", Turns(str(tmp_path), (), many[:2]), Deadline(60))


def test_a_machine_without_send_nsca_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns: Turns
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("nagios_kvm.nsca._PATH", str(tmp_path))
    with pytest.raises(KvmwatchError, match="install nsca-client"):
        Nsca("nsca://nagios", None).send("kvm1", turns, Deadline(60))
