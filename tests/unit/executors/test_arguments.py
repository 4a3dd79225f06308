from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from apsched.executors.asyncio import AsyncIOExecutor
from apsched.executors.base import Executor
from apsched.executors.debug import DebugExecutor
from apsched.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor


@pytest.mark.parametrize(
    ("executor", "capacity"),
    [
        (AsyncIOExecutor(), 1000),
        (AsyncIOExecutor(3), 3),
        (DebugExecutor(), 1),
        (ThreadPoolExecutor(), 10),
        (ThreadPoolExecutor(max_workers=20), 20),
        (ProcessPoolExecutor(), os.cpu_count()),
        (ProcessPoolExecutor(max_workers=5), 5),
        (ThreadPoolExecutor(max_workers="20"), 20),  # type: ignore[arg-type]  # as it stands in a configuration file
    ],
)
def test_the_capacity_is_what_was_asked_for(executor: Executor, capacity: int) -> None:
    assert executor.capacity == capacity


@pytest.mark.parametrize("make", [AsyncIOExecutor, ThreadPoolExecutor, ProcessPoolExecutor])
@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-1, ValueError), ("0", ValueError), ("ten", TypeError), (1.5, TypeError), (True, TypeError)],
)
def test_a_size_that_is_no_whole_number_from_one_on_is_refused(
    make: Callable[[Any], Executor], value: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=rf"^max_\w+ must be a whole number from 1 on, got {re.escape(repr(value))}$"):
        make(value)


def test_a_worker_that_runs_nothing_before_it_is_replaced_is_refused() -> None:
    with pytest.raises(ValueError, match="max_runs_per_worker must be a whole number from 1 on, got 0"):
        ProcessPoolExecutor(max_runs_per_worker=0)
    with pytest.raises(ValueError, match="max_rss must be a whole number from 1 on, got 0"):
        ProcessPoolExecutor(max_rss=0)


@pytest.mark.parametrize(
    ("make", "known"),
    [
        (ThreadPoolExecutor, "thread_name_prefix, initializer, initargs"),
        (ProcessPoolExecutor, "mp_context, initializer, initargs, max_tasks_per_child, thread_name_prefix"),
    ],
)
def test_an_unknown_key_of_pool_kwargs_is_named_with_the_known_ones(make: Callable[..., Executor], known: str) -> None:
    with pytest.raises(TypeError, match=f"^pool_kwargs has the unknown key 'colour'; there are: {known}$"):
        make(pool_kwargs={"colour": "blue"})


@pytest.mark.parametrize("make", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_wrong_kinds_in_pool_kwargs_are_refused(make: Callable[..., Executor]) -> None:
    with pytest.raises(TypeError, match="pool_kwargs must be a mapping or None, got 5"):
        make(pool_kwargs=5)
    with pytest.raises(TypeError, match=r"pool_kwargs\['initializer'\] must be a callable or None, got 5"):
        make(pool_kwargs={"initializer": 5})


def test_a_context_that_forks_is_refused() -> None:
    with pytest.raises(ValueError, match="must start processes by 'spawn' or 'forkserver', got 'fork'; use"):
        ProcessPoolExecutor(pool_kwargs={"mp_context": multiprocessing.get_context("fork")})
    with pytest.raises(TypeError, match="must be a context of multiprocessing or None, got 'spawn'"):
        ProcessPoolExecutor(pool_kwargs={"mp_context": "spawn"})
