"""Test how an address of Redis is read, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from monitor.shared.errors import ConfigError
from monitor.shared.redis.redis_target import RedisTarget


@pytest.mark.parametrize(
    ("url", "group"),
    [
        ("redis://10.0.0.5:6379/0", None),
        ("rediss://10.0.0.5", None),
        ("unix:///run/redis.sock", None),
        ("unix://me:p@/run/@redis.sock", None),
        (
            "redis+sentinel://a/m?sentinel_password=p@ss",
            RedisTarget("sentinel", (("a", 26379),), master="m", sentinel_password="p@ss"),
        ),
        (
            "redis+sentinel://10.0.0.1,10.0.0.2:26380,[::1]:26379/mymaster",
            RedisTarget(
                "sentinel",
                (("10.0.0.1", 26379), ("10.0.0.2", 26380), ("::1", 26379)),
                master="mymaster",
            ),
        ),
        # New Pythons' urlsplit refuses a host that only ends in brackets.
        (
            "redis+sentinel://a,[::1]:26379/m",
            RedisTarget("sentinel", (("a", 26379), ("::1", 26379)), master="m"),
        ),
        (
            "redis+cluster://[2001:DB8::1],B",
            RedisTarget("cluster", (("2001:db8::1", 6379), ("b", 6379))),
        ),
        ("redis://[::1]:6379/0", None),
        ("REDIS://user:p:w@a", None),
        ("rediss://a/0?ssl_certfile=c.pem&ssl_keyfile=k.pem", None),
        ("unix:///run/redis.sock?db=2&password=p@w", None),
        (
            "rediss+sentinel://callmon:p%40ss@a/m/3?sentinel_username=s&sentinel_password=t",
            RedisTarget("sentinel", (("a", 26379),), "callmon", "p@ss", 3, True, "m", "s", "t"),
        ),
        (
            "redis+cluster://:p@a,b:7000",
            RedisTarget("cluster", (("a", 6379), ("b", 7000)), None, "p"),
        ),
        (
            "redis+cluster://a?pubsub=sharded",
            RedisTarget("cluster", (("a", 6379),), sharded_only=True),
        ),
        ("redis+cluster://a?pubsub=both", RedisTarget("cluster", (("a", 6379),))),
        ("rediss+cluster://a/0", RedisTarget("cluster", (("a", 6379),), tls=True)),
    ],
)
def test_an_address_is_taken_apart(url: str, group: RedisTarget | None) -> None:
    assert RedisTarget.parse(url) == group


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "http://:secret@a",
            "it begins with http://, which is unknown; write it as redis://127.0.0.1:6379/0",
        ),
        ("redis://:secret@a/callmon", "a number"),
        ("redis://:se/cret@a/0", "in user and password write %2F for /"),
        ("redis://:se#cret@a/0", "and %23 for #"),
        ("redis+sentinel://:se?cret@a/m", "%3F for ?"),
        ("unix://run/redis.sock", "three slashes, as in unix:///run/redis/redis.sock"),
        (":secret@a:6379", "it does not begin with redis://; write it as redis://127.0.0.1:6379/0"),
        ("redis+sentinel://:secret@a", "the name that the Sentinels know"),
        ("redis+sentinel://:secret@a/m/x", "a number"),
        ("redis+sentinel://:secret@a/m?sentinel=1", "no option sentinel"),
        ("redis://:secret@a/0?foo=1", "redis:// has no option foo"),
        ("redis://:secret@a/0?foo", "redis:// has no option foo"),
        ("redis://:secret@a/0?ssl_keyfile=k", "redis:// has no option ssl_keyfile"),
        ("rediss://:secret@a/0?max_connections=1", "rediss:// has no option max_connections"),
        ("unix:///run/redis.sock?password=secret&d=2", "unix:// has no option d"),
        ("redis+cluster://:secret@a/1", "only database 0"),
        ("redis+cluster://:secret@a?pubsub=plain", "pubsub is both or sharded, not 'plain'"),
        ("redis+sentinel://:secret@a/m?pubsub=sharded", "no option pubsub"),
        ("redis+cluster://:secret@a:99999", "no port between 1 and 65535"),
        ("redis+cluster://:secret@a,,b", "a host is missing"),
        ("redis+cluster://:secret@:6379", "a host is missing"),
        ("redis+cluster://:secret@a:x", "no port between 1 and 65535"),
        ("redis+sentinel://:secret@::1,b/m", "in brackets, as in"),
        ("redis+sentinel://:secret@[::1,b/m", "in brackets, as in"),
        ("redis+sentinel://:secret@a,[::x]:1/m", "not an IPv6 address"),
        ("redis://:secret@::1:9461/0", "in brackets, as in"),
        ("redis://:secret@[::x]:9461/0", "not an IPv6 address"),
        ("redis://:secret@a:99999", "no port between 1 and 65535"),
        ("rediss://:secret@a:b/0", "no port between 1 and 65535"),
        ("redis://:secret@a:" + "9" * 5000, "no port between 1 and 65535"),
    ],
)
def test_a_wrong_address_is_a_sentence_without_the_password(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match="redis url") as raised:
        RedisTarget.parse(url)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
