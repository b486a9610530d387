"""Encoded answers kept for all who ask the same."""

from __future__ import annotations

from msgspec import Struct

from gateway.queries.answer_cache import Answer, AnswerCache, CachedBytes, encode
from monitor.shared.changes import Position


class Value(Struct, frozen=True):
    text: str


AT = Position("e", 1)


def ask(
    cache: AnswerCache, question: str, position: Position = AT, size: int = 10
) -> tuple[Answer, bool]:
    made = False

    def make() -> Struct:
        nonlocal made
        made = True
        return Value("x" * (size - 11))

    return cache.answer(question, position, make), made


def test_an_answer_is_made_once_a_question_and_position() -> None:
    cache = AnswerCache()
    assert ask(cache, "a")[1]
    assert not ask(cache, "a")[1]
    assert ask(cache, "b")[1]
    answer, made = ask(cache, "a", Position("e", 2))
    assert (made, answer.position, len(cache)) == (True, Position("e", 2), 1)


def test_kept_answers_are_bounded_in_number_and_in_bytes() -> None:
    few = AnswerCache(entries=2)
    for question in ("a", "b", "a", "c"):
        ask(few, question)
    assert len(few) == 2
    assert not ask(few, "a")[1]
    assert ask(few, "b")[1]
    small = AnswerCache(size=100)
    for question in ("a", "b", "c"):
        ask(small, question, size=40)
    assert len(small) == 2
    ask(small, "large", size=101)
    assert len(small) == 2


def test_all_caches_together_keep_so_many_bytes_and_the_one_not_filled_for_longest_is_emptied() -> (
    None
):
    together = CachedBytes(100)
    east, north, west = (AnswerCache(together=together) for _ in range(3))
    for cache in (east, north, east):
        ask(cache, f"{together.bytes}", size=30)
    assert (together.bytes, len(east), len(north)) == (90, 2, 1)
    ask(west, "a", size=40)
    assert (together.bytes, len(east), len(north), len(west)) == (100, 2, 0, 1)
    ask(east, "a", Position("e", 2), size=20)
    assert (together.bytes, len(east)) == (60, 1)
    assert not ask(west, "a", size=40)[1]
    ask(west, "b", size=200)
    assert (together.bytes, len(east), len(west)) == (240, 0, 2), "one cache has its own bound"
    west.forget()
    assert (together.bytes, len(west)) == (0, 0)


def test_the_entity_tag_is_a_function_of_the_content_alone() -> None:
    assert encode(Value("a"), AT).etag == encode(Value("a"), Position("f", 9)).etag
    assert encode(Value("a"), AT).etag != encode(Value("b"), AT).etag
