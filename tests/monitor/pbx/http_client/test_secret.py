"""Test that a changed secret is tried at once, also while a retry waits."""

from __future__ import annotations

import asyncio

from monitor.pbx.http_client.secret import Secret, pause, text_of


async def test_who_waits_is_woken_by_another_secret_and_by_no_other_thing() -> None:
    secret = Secret("the old one")
    waiting = [asyncio.create_task(pause(3_600, secret)) for _ in range(3)]
    await asyncio.sleep(0)
    secret.exchange("the old one")
    await pause(0, secret)
    assert not any(task.done() for task in waiting)
    secret.exchange("the new one")
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting)
    assert text_of(secret) == "the new one"
    await pause(0.001, secret)  # the next one waits for the next exchange


def test_it_is_shown_nowhere() -> None:
    assert "hush" not in f"{Secret('hush')} {Secret('hush')!r}"
