"""Test the monitor's settings: where calls come from, and with which credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import MonitorSettings, PbxSection
from monitor.run import database, pbx_settings
from monitor.shared.errors import ConfigError
from monitor.shared.settings import loader as settings_module
from monitor.shared.settings.loader import changed_names, with_changes

PBX = """
[[pbx]]
name = "main"
url = "https://pbx.example.com:5001"
"""
CLIENT = 'client_id = "callmon"\nclient_secret = "hush"\n'


def load(folder: Path, text: str) -> PbxSection:
    file = folder / "callmon.toml"
    file.write_text(text, encoding="utf-8")
    return MonitorSettings.load(file).pbx[0]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://[pbx:5001",
        "https://[::x]",
        "https://pbx:99999",
        "https://pbx:https",
        "https://pbx:0",
        "https://pbx..example.com",
        "pbx:5001",
        "https://",
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(tmp_path: Path, url: str) -> None:
    text = PBX.replace("https://pbx.example.com:5001", url) + CLIENT
    assert "must be the PBX's address alone, such as https://pbx.example.com:5001" in refusal(
        tmp_path, text
    )


def test_an_address_may_be_ipv6(tmp_path: Path) -> None:
    text = PBX.replace("https://pbx.example.com:5001", "https://[2001:db8::5]:5001/") + CLIENT
    assert load(tmp_path, text).url == "https://[2001:db8::5]:5001"


def test_an_api_client_is_for_3cx_itself(tmp_path: Path) -> None:
    section = load(tmp_path, PBX + CLIENT)
    assert not section.webapi
    assert pbx_settings(section).source == "auto"
    assert pbx_settings(section).client_secret == "hush"


def test_a_key_is_for_the_documented_interface(tmp_path: Path) -> None:
    section = load(tmp_path, PBX + 'key = "the-key-there"\n')
    assert section.webapi
    assert section.secret() == "the-key-there"
    assert "the-key-there" not in repr(section)


def test_the_source_may_be_named(tmp_path: Path) -> None:
    assert (
        pbx_settings(load(tmp_path, PBX + CLIENT + 'source = "activecalls"')).source
        == "activecalls"
    )
    assert load(tmp_path, PBX + 'source = "webapi"\nkey = "the-key-there"\n').webapi


def test_a_key_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the-key-there\n", encoding="utf-8")
    assert load(tmp_path, PBX + f'key_file = "{tmp_path / "key"}"\n').secret() == "the-key-there"


def test_credentials_that_do_not_go_together_are_refused_in_a_sentence(tmp_path: Path) -> None:
    assert "takes a key, and no client_id" in refusal(tmp_path, PBX + CLIENT + 'key = "k"')
    assert "and no key" in refusal(tmp_path, PBX + 'source = "activecalls"\nkey = "k"')
    assert "either key or key_file" in refusal(tmp_path, PBX + 'source = "webapi"')
    assert "client_id is missing" in refusal(tmp_path, PBX + 'client_secret = "hush"')
    assert "either client_secret or" in refusal(tmp_path, PBX + 'client_id = "callmon"')
    both = PBX + CLIENT + 'client_secret_file = "x"'
    assert "client_secret and client_secret_file are both given" in refusal(tmp_path, both)


def test_a_source_that_is_none_is_refused_with_those_that_are(tmp_path: Path) -> None:
    assert "'activecalls'" in refusal(tmp_path, PBX + CLIENT + 'source = "events"')


def test_a_credential_of_a_unit_that_does_not_run_is_read_where_the_unit_has_it_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "CREDENTIALS", tmp_path / "callmon-monitor.service")
    monkeypatch.setenv("CALLMON_ETC", str(tmp_path))
    credential = tmp_path / "callmon-monitor.service" / "pbx_main.secret"
    section = load(tmp_path, PBX + f'client_id = "callmon"\nclient_secret_file = "{credential}"\n')
    kept = tmp_path / "pbx" / "main.secret"
    with pytest.raises(
        ConfigError, match=f"client_secret_file cannot be read: No such file or directory: {kept}"
    ):
        pbx_settings(section)
    kept.parent.mkdir()
    kept.write_text("kept\n", encoding="utf-8")
    assert section.secret() == "kept"
    credential.parent.mkdir()
    credential.write_text("shown\n", encoding="utf-8")
    assert section.secret() == "kept", "what the next start takes is what an administrator tries"
    assert settings_module.outdated(credential)
    credential.write_text("kept\n", encoding="utf-8")
    assert not settings_module.outdated(credential)
    kept.unlink()
    assert section.secret() == "kept"
    assert not settings_module.outdated(credential)


def test_the_unit_itself_reads_the_credential_that_it_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential, kept = (
        tmp_path / "callmon-monitor.service" / "pbx_main.secret",
        tmp_path / "pbx" / "main.secret",
    )
    monkeypatch.setattr(settings_module, "CREDENTIALS", credential.parent)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credential.parent))
    monkeypatch.setenv("CALLMON_ETC", str(tmp_path))
    for file, secret in ((kept, "new"), (credential, "old")):
        file.parent.mkdir()
        file.write_text(secret, encoding="utf-8")
    section = load(tmp_path, PBX + f'client_id = "callmon"\nclient_secret_file = "{credential}"\n')
    assert section.secret() == "old"
    credential.unlink()
    says = (
        f"client_secret_file is not there: {credential}; put the secret into {kept} and "
        f"restart the unit"
    )
    with pytest.raises(ConfigError, match=says):
        pbx_settings(section)


DATABASE = '[pbx.database]\nuser = "callmon"\n'


def test_without_a_section_there_is_no_database(tmp_path: Path) -> None:
    assert database(load(tmp_path, PBX + CLIENT)) is None


def test_a_database_is_looked_for_at_the_pbx(tmp_path: Path) -> None:
    section = load(tmp_path, PBX + CLIENT + DATABASE + 'password = "hush-hush"\n')
    assert section.database is not None
    assert (section.database.port, section.database.name, section.database.tls) == (
        5432,
        "database_single",
        "verify",
    )
    assert "hush-hush" not in repr(section)
    made = database(section)
    assert made is not None
    assert made.where == "pbx.example.com:5432"


def test_a_databases_password_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush-hush\n", encoding="utf-8")
    section = load(
        tmp_path, PBX + CLIENT + DATABASE + f'password_file = "{tmp_path / "password"}"\n'
    )
    assert section.database is not None
    assert section.database.secret() == "hush-hush"
    missing = load(tmp_path, PBX + CLIENT + DATABASE + f'password_file = "{tmp_path / "none"}"\n')
    with pytest.raises(ConfigError, match="pbx main: password_file cannot be read"):
        database(missing)


def test_a_database_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for host in ("a..b", "a" * 64):
        wrong_host = DATABASE + f'password = "x"\nhost = "{host}"\n'
        assert "write the name or address of a host" in refusal(tmp_path, PBX + CLIENT + wrong_host)
    assert "either password or password_file" in refusal(tmp_path, PBX + CLIENT + DATABASE)
    assert "passes SQL on" in refusal(tmp_path, PBX + 'key = "k"\n' + DATABASE + 'password = "x"\n')
    assert "timeout" in refusal(
        tmp_path, PBX + CLIENT + DATABASE + 'password = "x"\ntimeout = 600\n'
    )
    assert "user" in refusal(tmp_path, PBX + CLIENT + '[pbx.database]\npassword = "x"\n')
    wrong = load(tmp_path, PBX + CLIENT + DATABASE + 'password = "x"\nca_file = "/none.pem"\n')
    with pytest.raises(ConfigError, match="pbx main: database: ca_file cannot be read"):
        database(wrong)


def whole(folder: Path, text: str) -> MonitorSettings:
    file = folder / "callmon.toml"
    file.write_text(text, encoding="utf-8")
    return MonitorSettings.load(file)


def test_what_differs_is_named_and_can_be_taken_over_piece_by_piece(tmp_path: Path) -> None:
    other = PBX.replace("main", "other") + CLIENT
    before = whole(tmp_path, '[log]\nlevel = "debug"\n[gateway]\nport = 1\n' + PBX + CLIENT + other)
    changed = (
        PBX
        + CLIENT.replace("hush", "shush")
        + "verify = false\n[pbx.figures]\nshort_abandon_threshold = 1\n"
    )
    after = whole(
        tmp_path,
        "[monitor]\nlease_duration = 9.0\n[gateway]\nport = 2\n"
        + changed
        + PBX.replace("main", "new")
        + CLIENT,
    )
    names = changed_names(before, after)
    assert set(names) == {
        *("log.level", "monitor.lease_duration", "pbx.new", "pbx.other"),
        *("pbx.main.client_secret", "pbx.main.verify", "pbx.main.figures.short_abandon_threshold"),
    }, "the gateway's settings are not the monitor's affair"
    assert with_changes(before, after, ()) == before
    some = with_changes(before, after, {"pbx.main.client_secret", "pbx.new", "log.level"})
    assert set(changed_names(some, after)) == set(names) - {
        "pbx.main.client_secret",
        "pbx.new",
        "log.level",
    }
    assert changed_names(with_changes(before, after, names), after) == ()
