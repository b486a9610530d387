"""Settings in variables: where each leads, and what is said of those that lead nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from monitor.shared.settings.environment import entry_in, merge, names, section_in, shown


class Inner(BaseModel):
    deep: int = 0
    words: tuple[str, ...] = ()


class Section(BaseModel):
    port: int = 1
    targets: dict[str, int] = Field(default_factory=dict)
    inner: Inner | None = None


class Entry(BaseModel):
    name: str = ""
    inner: Inner = Inner()


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    level: str = ""
    part: Section = Section()
    pbx: tuple[Entry, ...] = ()
    other: Any = None


def values(environ: dict[str, str], file: dict[str, Any] | None = None) -> dict[str, Any]:
    merged = merge(Model, file or {}, environ)
    assert merged.wrong == []
    return merged.values


def wrong(environ: dict[str, str], file: dict[str, Any] | None = None) -> list[str]:
    return merge(Model, file or {}, environ).wrong


def test_a_variable_wins_over_the_file_and_leaves_its_neighbours() -> None:
    file = {"level": "x", "part": {"port": 1, "targets": {"800": 5}}}
    found = values({"CALLMON_PART__PORT": "7"}, file)
    assert found == {"level": "x", "part": {"port": "7", "targets": {"800": 5}}}
    assert file["part"] == {"port": 1, "targets": {"800": 5}}, "the file's own are as they were"


SECTION = {"CALLMON_PART": '{"port": 1, "inner": {"deep": 2}}'}
SINGLE = {"CALLMON_PART__PORT": "7"}


@pytest.mark.parametrize(
    "environ", [SECTION | SINGLE, SINGLE | SECTION], ids=["section first", "section last"]
)
def test_a_single_setting_wins_over_its_whole_section(environ: dict[str, str]) -> None:
    assert values(environ) == {"part": {"port": "7", "inner": {"deep": 2}}}


def test_names_may_be_written_small() -> None:
    assert values({"callmon_part__port": "7"}) == {"part": {"port": "7"}}


def test_entries_of_a_list_are_changed_and_added_by_their_numbers() -> None:
    file = {"pbx": [{"name": "main", "inner": {"deep": 1}}]}
    environ = {
        "CALLMON_PBX__1__NAME": "omsk",
        "CALLMON_PBX__0__INNER__DEEP": "2",
        "CALLMON_PBX__2": '{"name": "rome"}',
    }
    assert values(environ, file) == {
        "pbx": [{"name": "main", "inner": {"deep": "2"}}, {"name": "omsk"}, {"name": "rome"}]
    }


def test_an_entry_beyond_the_end_is_refused_with_the_number_that_comes_next() -> None:
    assert wrong({"CALLMON_PBX__2__NAME": "x"}, {"pbx": [{"name": "main"}]}) == [
        "CALLMON_PBX__2__NAME: there is no pbx[2]; the next one is 1"
    ]


@pytest.mark.parametrize("number", ["main", "-1", "1.0", "²"])
def test_an_entry_has_a_number(number: str) -> None:
    (said,) = wrong({f"CALLMON_PBX__{number}__NAME": "x"})
    assert said.endswith("an entry has a number, such as CALLMON_PBX__0")


def test_lists_and_tables_are_json() -> None:
    environ = {
        "CALLMON_PART__TARGETS": '{"800": 15}',
        "CALLMON_PART__INNER__WORDS": '["a", "b"]',
    }
    assert values(environ) == {"part": {"targets": {"800": 15}, "inner": {"words": ["a", "b"]}}}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("PART__INNER__WORDS", "a", "not JSON (Expecting value at character 1); a list is given"),
        ("PART__TARGETS", " ", 'empty; a section is given as JSON, such as {"name": "value"}'),
        ("PART", "{", "not JSON (Expecting property name"),
        ("PBX", "", 'empty; a list of sections is given as JSON, such as [{"name": "main"}]'),
        ("PBX", "[" * 100_000, "not JSON (nested too deeply)"),
    ],
)
def test_what_is_no_json_is_told_without_its_text(name: str, text: str, said: str) -> None:
    (sentence,) = wrong({f"CALLMON_{name}": text})
    assert sentence.startswith(f"CALLMON_{name} is {said}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("CALLMON_PRAT__PORT", "did you mean CALLMON_PART__…?"),
        ("CALLMON_PART__PROT", "did you mean CALLMON_PART__PORT?"),
        ("CALLMON_PART__XYZ", "known here: inner, port, targets"),
        ("CALLMON_XYZ__PORT", "known sections: level, other, part, pbx"),
        ("CALLMON_PART__PORT__X", "CALLMON_PART__PORT is one, and has no parts"),
        ("CALLMON_PART_PORT", "did you mean CALLMON_PART__PORT?"),
        ("CALLMON_PART_INNER_DEEP", "did you mean CALLMON_PART__INNER__DEEP?"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_with_the_right_one(name: str, said: str) -> None:
    (sentence,) = wrong({name: "1"})
    assert sentence.startswith(f"{name} is not a setting; ")
    assert sentence.endswith(said)


def test_what_others_put_into_the_environment_is_none_of_ours() -> None:
    environ = {
        "CALLMON_SERVICE_HOST": "10.0.0.1",
        "CALLMON_PART_PORT": "tcp://10.0.0.1:80",
        "CALLMON_ETC": "/etc",
        "PART__PORT": "7",
        "CALLMON_OTHER__PROT": "the other program's",
    }
    assert values(environ) == {}
    assert names(Model, environ) == ["CALLMON_OTHER__PROT"]


def test_a_wrong_setting_is_blamed_on_the_variable_that_gave_it() -> None:
    merged = merge(
        Model, {}, {"CALLMON_PART": '{"inner": {"deep": "x"}}', "CALLMON_PART__PORT": "1"}
    )
    assert merged.variable_of(("part", "inner", "deep")) == "CALLMON_PART"
    assert merged.variable_of(("part", "port")) == "CALLMON_PART__PORT"
    assert merged.variable_of(("part", "inner", "deep", "more")) == "CALLMON_PART"
    assert merged.variable_of(("level",)) is None
    assert merged.variables_below(("part",)) == ["CALLMON_PART", "CALLMON_PART__PORT"]
    assert merged.variables_below(("pbx",)) == []


def test_a_file_with_something_else_in_the_way_keeps_it_to_be_refused() -> None:
    file = {"part": "text", "pbx": {"name": "main"}}
    assert values({"CALLMON_PART__PORT": "7", "CALLMON_PBX__0__NAME": "x"}, file) == file


def test_a_place_is_shown_as_people_write_it() -> None:
    assert shown(("pbx", 0, "inner", "deep")) == "pbx[0].inner.deep"


def test_sections_are_told_from_lists_of_them_and_from_plain_settings() -> None:
    fields = {**Section.model_fields, **Model.model_fields}
    assert section_in(fields["inner"].annotation) is Inner
    assert entry_in(fields["pbx"].annotation) is Entry
    for name in ("port", "targets", "other"):
        assert section_in(fields[name].annotation) is entry_in(fields[name].annotation) is None
