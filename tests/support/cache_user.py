"""What other processes do with a cache: they import it from here."""

from __future__ import annotations

from lmms_videominer.store.cache import open_cache


def write_and_read(place: str, worker: int, rounds: int) -> None:
    cache = open_cache(place)
    for i in range(rounds):
        cache.put_many("caption", {f"shared{i}": f"text {i}", f"own{worker}.{i}": f"by {worker}"})
        assert cache.get_many("caption", [f"shared{i}", f"own{worker}.{i}"]) == [f"text {i}", f"by {worker}"]
    cache.close()
