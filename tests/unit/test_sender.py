"""The lines for zabbix_sender, and what it answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from zabbix_kvm.sender import CONFIGURED_HOST, Accepted, Value, accepted, line


def unquoted(text: str) -> str:
    """Read a quoted parameter as zabbix_sender(1) says: a backslash takes the next character as it is, \\n is a newline."""
    out, escaped = [], False
    for character in text[1:-1]:
        if escaped:
            out.append("\n" if character == "n" else character)
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            assert character != '"'
            out.append(character)
    return "".join(out)


@given(st.text(st.characters(blacklist_categories=("Cs",))))
def test_any_text_is_one_quoted_value_on_one_line(text: str) -> None:
    made = line(Value("h", "k", 1.9, text))
    head = '"h" "k" 1 '
    assert made.startswith(head)
    assert made.endswith("\n")
    assert "\n" not in made[:-1]
    assert unquoted(made[len(head) : -1]) == text


def test_the_configured_host_is_not_quoted() -> None:
    assert line(Value(CONFIGURED_HOST, "k", 1, "v")).startswith('- "k"')


def test_answers_are_added_up_by_server() -> None:
    said = (
        'Response from "a:10051": "processed: 250; failed: 0; total: 250; seconds spent: 0.002"\n'
        'zabbix_sender [1]: DEBUG: answer\nResponse from "a:10051": "processed: 3; failed: 2; total: 5; seconds spent: 0.1"\n'
        'Response from "b:10051": "processed: 0; failed: 1; total: 1; seconds spent: 0.1"\n'
    )
    assert accepted(said) == [Accepted("a:10051", 253, 255), Accepted("b:10051", 0, 1)]
