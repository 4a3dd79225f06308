"""Public names of APScheduler 3.11.3 are where they were, with their parameters in their places.

The file beside this one lists them, one a line: module, name, and the parameters of what is called, as `inspect` showed
them. Names that a class has from its base are listed with the base.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from apsched.schedulers.background import BackgroundScheduler
from apsched.util import undefined

NAMES = Path(__file__).with_name("names_of_apscheduler_3.txt").read_text().splitlines()

GONE = {  # what was internal; docs/from-apscheduler-3.md names them
    "CronTrigger.FIELDS_MAP",
    "MongoDBJobStore.connection",
    "run_in_event_loop",
    "run_in_ioloop",
    "run_in_reactor",
}
OF_ITS_OWN_FORM = {
    "BaseScheduler.scheduled_job",  # hands what it is given on to add_job: see below
    "Job",  # schedulers make jobs
}
OTHER_DEFAULTS = {
    "BaseScheduler.add_listener": {"mask"},  # there are more events
    "BaseScheduler.configure": {"gconfig", "prefix"},
    "MongoDBJobStore": {"database", "pickle_protocol"},
    "ProcessPoolExecutor": {"max_workers"},  # as many as there are processors
    "RedisJobStore": {"jobs_key", "run_times_key", "pickle_protocol"},
    "SQLAlchemyJobStore": {"tablename", "pickle_protocol"},
}


def look_up(module: str, path: str) -> Any:
    found: Any = import_module(f"apsched.{module}")
    for name in path.split("."):
        found = getattr(found, name)
    return found


def parameters_of(function: Any) -> list[inspect.Parameter]:
    return [each for each in inspect.signature(function).parameters.values() if each.name != "self"]


def written(text: str) -> list[inspect.Parameter]:
    return parameters_of(eval(f"lambda {text}: 0", {"undefined": undefined}))  # noqa: S307  # of the file beside


def fits(ours: list[inspect.Parameter], theirs: list[inspect.Parameter], free: set[str]) -> bool:
    """Tell whether each call that fits *theirs* fits *ours* and means the same."""
    by_name = {each.name: each for each in ours}
    takes_any = any(each.kind is each.VAR_KEYWORD for each in ours)
    positional = [each.name for each in ours if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    for place, each in enumerate(theirs):
        if each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
            continue  # it stands for the options of something else
        known = by_name.get(each.name)
        if known is None:
            return takes_any
        if each.kind is not each.KEYWORD_ONLY and positional[place : place + 1] != [each.name]:
            return False
        same = known.default == each.default or (known.default is None and each.default == {})
        if not same and each.name not in free:
            return False
    required = {each.name for each in ours if each.default is each.empty and each.kind < each.VAR_POSITIONAL}
    return required <= {each.name for each in theirs} | free


@pytest.mark.parametrize("line", [line for line in NAMES if line.split()[1].partition("(")[0] not in GONE])
def test_a_name_of_apscheduler_3_is_where_it_was_with_its_parameters(line: str) -> None:
    module, _, rest = line.partition(" ")
    name, called, text = rest.partition("(")
    found = look_up(module, name)

    if called and name not in OF_ITS_OWN_FORM:
        assert fits(parameters_of(found), written(text.removesuffix(")")), OTHER_DEFAULTS.get(name, set()))


def test_scheduled_job_takes_all_that_it_took_by_position() -> None:
    scheduler = BackgroundScheduler()

    @scheduler.scheduled_job("interval", [1], {"b": 2}, "id", "name", 5, False, 3, None, "kept", "few", hours=2)
    def work(a: int, b: int) -> None:
        """Do nothing."""

    (job,) = scheduler.get_jobs("kept")
    assert (job.func, job.args, job.kwargs, job.id, job.name) == (work, (1,), {"b": 2}, "id", "name")
    assert (job.misfire_grace_time, job.coalesce, job.max_instances, job.next_run_time) == (5, False, 3, None)
    assert (job.executor, str(job.trigger)) == ("few", "interval[2:00:00]")


def test_the_package_tells_its_version() -> None:
    package = import_module("apsched")

    assert package.version == package.__version__
    assert package.version[0].isdigit()
