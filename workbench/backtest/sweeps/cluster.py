"""Blocks of a sweep on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workbench.backtest.sweeps.blocks import Block, Done, Figures, Work
from workbench.core.errors import ParameterError
from workbench.core.plugins import extra

AHEAD = 4
"""Blocks that are on their way for each thread of the cluster: none waits for the next, and few results pile up."""


def there(cluster: Any, work: Work, blocks: Sequence[Block]) -> Done:
    """Run blocks on a cluster, in any order.

    The work, bars included, goes to each worker once. An interrupt cancels what has not begun.

    Parameters
    ----------
    cluster : dask.distributed.Client or cluster
    work : Work
    blocks : sequence of Block

    Yields
    ------
    block : Block
    figures : array

    Raises
    ------
    ParameterError
        If it is no cluster.
    FailureError
        If Dask is not installed.
    """
    with extra("cluster", "a sweep on a cluster"):
        from distributed import as_completed
    if not blocks:
        return
    with _client(cluster) as client:
        shared, coming = client.scatter(work, broadcast=True, hash=False), iter(blocks)
        at_once = AHEAD * max(1, sum(client.nthreads().values()))
        sent: dict[str, tuple[Block, Any]] = {}
        done = as_completed()
        try:
            for _ in range(min(at_once, len(blocks))):
                _send(client, shared, next(coming), sent, done)
            for future in done:
                block, _ = sent[future.key]
                figures = future.result()
                del sent[future.key]
                if (following := next(coming, None)) is not None:
                    _send(client, shared, following, sent, done)
                yield block, figures
        finally:
            client.cancel([future for _, future in sent.values()])


def _send(client: Any, shared: Any, block: Block, sent: dict[str, tuple[Block, Any]], done: Any) -> None:
    future = client.submit(_run, shared, block, pure=False)
    sent[future.key] = block, future
    done.add(future)


def _run(work: Work, block: Block) -> Figures:
    return work.run(block)


@contextmanager
def _client(cluster: Any) -> Iterator[Any]:
    """Give a client of the cluster; one of our own is closed again."""
    from distributed import Client
    from distributed.deploy.cluster import Cluster

    if isinstance(cluster, Client):
        yield cluster
    elif isinstance(cluster, Cluster):
        with Client(cluster) as client:
            yield client
    else:
        kind = type(cluster).__name__
        raise ParameterError(f"cluster is a {kind}, not a Dask cluster; give a dask.distributed cluster or Client")
