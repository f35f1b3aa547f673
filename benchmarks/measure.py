"""Timing of benchmarks: ours and the peer in turn, three times, so that a slow moment affects both."""

import statistics
import time
from collections.abc import Callable


def compare(
    claim: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    peer_name: str,
    runs: int = 3,
    warm_up: bool = True,
) -> None:
    """Print the medians and their ratio (above 1: ours is faster). To warm up, each is run once before."""
    if warm_up:
        ours(), peer()
    seconds: dict[str, list[float]] = {"ours": [], peer_name: []}
    for _ in range(runs):
        for name, work in (("ours", ours), (peer_name, peer)):
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    mine, theirs = (statistics.median(values) for values in seconds.values())
    print(f"{claim}: ours {mine:.2f} s, {peer_name} {theirs:.2f} s, ratio {theirs / mine:.2f}")
