"""Entries of the audit log: what is shown of a command."""

from __future__ import annotations

from hashlib import sha256

from monitor.persistence.audit_entry import masked


def test_secrets_do_not_stand_in_the_audit_log() -> None:
    line = masked({"num": "101", "authpass": "s3cret", "vmpin": "1234", "firstname": "x" * 2000})
    assert "s3cret" not in line
    assert "1234" not in line
    assert "num='101'" in line
    assert len(line) <= 1000


def test_no_padding_hides_what_a_long_value_says() -> None:
    sql = "select 1" + " " * 2_000 + ", pg_read_file('x')" + "\n" * 2_000 + "from recordings"
    line = masked({"query": sql, "count": "7"})
    for said in (
        "select 1",
        "pg_read_file",
        "from recordings",
        f"{len(sql)} characters",
        "count='7'",
    ):
        assert said in line
    assert sha256(sql.encode()).hexdigest()[:16] in line
    head, tail = "select 'head', '" + "x" * 5_000, "y" * 5_000 + "' from tail"
    line = masked({"padding": "z" * 5_000, "query": head + tail, "last": "1"})
    assert "select 'head'" in line.replace("\\'", "'")
    assert "from tail" in line
    assert line.endswith("last='1'")
    assert len(line) < 2_000
    assert masked({"query": head + "1" + tail}) != masked({"query": head + "2" + tail})
