"""Say what requests bring and what they are answered, besides what is told of jobs, runs and nodes (layer 10)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypedDict

from apsched._documents import Instant, JobDocument, NodeDocument, OutcomeText, RunDocument, Seconds, State
from apsched.job import OnCrash, Overlap

Limit: TypeAlias = Annotated[int, ("minimum", 1), ("maximum", 1000), ("default", 50)]
Count: TypeAlias = Annotated[int, ("minimum", 1), ("maximum", 1000), ("default", 5)]
Text: TypeAlias = Annotated[str, ("minLength", 1)]
MoreThanZero: TypeAlias = Annotated[float, ("exclusiveMinimum", 0)]
FromOne: TypeAlias = Annotated[int, ("minimum", 1)]
Priority: TypeAlias = Annotated[int, ("minimum", -10), ("maximum", 10)]
FromZero: TypeAlias = Annotated[int, ("minimum", 0)]


class TriggerSettings(TypedDict):
    """
    A trigger of a kind, such as {"type": "cron", "settings": {"hour": 3, "minute": 30}}.

    Attributes:
        type: The kind: date, interval, cron, calendarinterval, after, and, or, or that of a plugin.
        settings: The arguments that it takes in Python. Of "and" and "or", the triggers are given as the list
            "triggers", each in this form or as text.
    """

    type: str
    settings: NotRequired[dict[str, Any]]


Schedule: TypeAlias = str | TriggerSettings


class NothingAsked(TypedDict):
    """No parameters."""


class JobsAsked(TypedDict, total=False):
    """
    Which jobs are asked for.

    Attributes:
        text: Only jobs that have this text in their id, name, callable or a tag, in whatever case.
        state: Only jobs in this state.
        tag: Only jobs with this tag, as name=value; may be given several times.
        store: Only jobs of the store of this alias.
        limit: At most so many.
        after: Where the page begins: what the page before said as next.
    """

    text: str
    state: State
    tag: list[str]
    store: str
    limit: Limit
    after: str


class StoreAsked(TypedDict, total=False):
    """
    Which store is meant.

    Attributes:
        store: The alias of the store; by default whichever has it.
    """

    store: str


class RunsAsked(TypedDict, total=False):
    """
    Which runs are asked for.

    Attributes:
        job: Only runs of the job of this id.
        outcome: Only runs of this outcome; may be given several times.
        since: Only nominal times from this on.
        until: Only nominal times up to this.
        node: Only runs that this node claimed.
        store: Only runs in the store of this alias.
        limit: At most so many.
        after: Where the page begins: what the page before said as next.
    """

    job: str
    outcome: list[OutcomeText]
    since: Instant
    until: Instant
    node: str
    store: str
    limit: Limit
    after: str


class ExplanationAsked(TypedDict):
    """
    What is to be explained.

    Attributes:
        job: The id of the job; it may be gone already.
        at: A nominal time; it is told what became or will become of it.
        count: How many next times are told.
        store: The alias of the store; by default all stores.
    """

    job: str
    at: NotRequired[Instant]
    count: NotRequired[Count]
    store: NotRequired[str]


class UpcomingAsked(TypedDict, total=False):
    """
    Which times to come are asked for.

    Attributes:
        until: The end of the window; by default a day from now, at most 366 days from now.
        job: Only those of the job of this id.
        store: Only those of jobs in the store of this alias.
        limit: Those of so many jobs at most, the ones that are due first.
        times: So many of each job at most.
    """

    until: Instant
    job: str
    store: str
    limit: Limit
    times: Annotated[int, ("minimum", 1), ("maximum", 200), ("default", 20)]


class TriggerAsked(TypedDict):
    """
    Which trigger is asked for.

    Attributes:
        text: A line of a crontab, such as 0 3 * * mon-fri, or an interval, such as every 5 minutes.
        timezone: The zone in which it is read, such as Europe/Helsinki; by default that of the scheduler.
        begin: From when on it is computed; by default from now on.
        count: How many times are told.
    """

    text: str
    timezone: NotRequired[str]
    begin: NotRequired[Instant]
    count: NotRequired[Count]


class RetrySettings(TypedDict, total=False):
    """
    When a run that has failed is attempted again.

    Attributes:
        max_attempts: How many attempts there are in all; null for any number.
        backoff: Seconds before the second attempt.
        factor: By which each later delay is longer than the last.
        longest: Seconds that a delay has at most.
        jitter: Up to so many seconds are added.
        on: After which exceptions, as module:name.
        give_up_at: How many seconds after the nominal time an attempt may begin at most; "next_run" for as long as the
            next nominal time has not come; null for any number.
    """

    max_attempts: FromOne | None
    backoff: Seconds
    factor: Annotated[float, ("minimum", 1)]
    longest: Seconds
    jitter: Seconds
    on: list[str]
    give_up_at: Seconds | Literal["next_run"] | None


class NewJob(TypedDict):
    """
    A job to add.

    Attributes:
        func: The callable, as module:name; the module must be importable where the scheduler runs.
        trigger: When it runs: a line of a crontab, such as "0 3 * * mon-fri"; an interval, such as "every 5 minutes";
            or a trigger of a kind. By default once, now.
        id: Unique in its store; by default a random one.
        name: For people; by default that of the callable.
        args: Positional arguments.
        kwargs: Keyword arguments.
        executor: The alias of the executor that runs it.
        misfire_grace_time: How many seconds after its time a run may still start; null for any number.
        coalesce: Whether of several times that are due at once only the last runs.
        max_instances: How many runs of it may be under way at a time.
        overlap: What becomes of a time beyond that.
        on_crash: What becomes of a run whose node dies.
        timeout: How many seconds a run may take; null for any number.
        retry: When a run that has failed is attempted again; null for never.
        expect_success_within: After how many seconds without success it counts as overdue; null for never.
        keep_runs: How many finished runs the history keeps; null for what the store keeps by default.
        tags: Names and values to find jobs by.
        priority: Of more jobs than may run, those of the highest come first.
        requires: Words for what a node must have to run it.
        next_run_time: When it runs first, in place of what the trigger says; null to add it paused.
        on_conflict: What happens if the id is taken. With "replace" the job takes over what comes next and whether it
            is paused; with "reset" it does not.
        store: The alias of the store; by default "default".
    """

    func: str
    trigger: NotRequired[Schedule]
    id: NotRequired[Annotated[str, ("minLength", 1), ("maxLength", 191)]]
    name: NotRequired[Text]
    args: NotRequired[list[Any]]
    kwargs: NotRequired[dict[str, Any]]
    executor: NotRequired[Text]
    misfire_grace_time: NotRequired[MoreThanZero | None]
    coalesce: NotRequired[bool]
    max_instances: NotRequired[FromOne]
    overlap: NotRequired[Overlap]
    on_crash: NotRequired[OnCrash]
    timeout: NotRequired[MoreThanZero | None]
    retry: NotRequired[RetrySettings | None]
    expect_success_within: NotRequired[MoreThanZero | None]
    keep_runs: NotRequired[FromZero | None]
    tags: NotRequired[dict[str, str]]
    priority: NotRequired[Priority]
    requires: NotRequired[list[str]]
    next_run_time: NotRequired[Instant | None]
    on_conflict: NotRequired[Literal["error", "replace", "reset"]]
    store: NotRequired[str]


class JobChange(TypedDict, total=False):
    """
    What to change in a job; the rest stays as it is.

    Attributes:
        func: The callable, as module:name.
        trigger: When it runs: a line of a crontab, an interval, or a trigger of a kind. A paused job is resumed by it.
        name: For people.
        args: Positional arguments.
        kwargs: Keyword arguments.
        executor: The alias of the executor that runs it.
        misfire_grace_time: How many seconds after its time a run may still start; null for any number.
        coalesce: Whether of several times that are due at once only the last runs.
        max_instances: How many runs of it may be under way at a time.
        overlap: What becomes of a time beyond that.
        on_crash: What becomes of a run whose node dies.
        timeout: How many seconds a run may take; null for any number.
        retry: When a run that has failed is attempted again; null for never.
        expect_success_within: After how many seconds without success it counts as overdue; null for never.
        keep_runs: How many finished runs the history keeps; null for what the store keeps by default.
        tags: Names and values to find jobs by.
        priority: Of more jobs than may run, those of the highest come first.
        requires: Words for what a node must have to run it.
        next_run_time: When it runs next, once, in place of what the trigger says; null pauses it.
    """

    func: str
    trigger: Schedule
    name: Text
    args: list[Any]
    kwargs: dict[str, Any]
    executor: Text
    misfire_grace_time: MoreThanZero | None
    coalesce: bool
    max_instances: FromOne
    overlap: Overlap
    on_crash: OnCrash
    timeout: MoreThanZero | None
    retry: RetrySettings | None
    expect_success_within: MoreThanZero | None
    keep_runs: FromZero | None
    tags: dict[str, str]
    priority: Priority
    requires: list[str]
    next_run_time: Instant | None


class NewRun(TypedDict, total=False):
    """
    What a run that is started by hand is given.

    Attributes:
        args: Positional arguments in place of those of the job; null for those of the job.
        kwargs: Keyword arguments in place of those of the job; null for those of the job.
    """

    args: list[Any] | None
    kwargs: dict[str, Any] | None


class NewBackfill(TypedDict):
    """
    Which nominal times of the past are made up for.

    Attributes:
        start: The first one at the earliest.
        end: The last one at the latest; by default now.
        max_parallel: How many of the runs may be queued or under way at a time.
        dry_run: Whether nothing is run, and the answer only tells the nominal times.
    """

    start: Instant
    end: NotRequired[Instant]
    max_parallel: NotRequired[Annotated[int, ("minimum", 1), ("default", 1)]]
    dry_run: NotRequired[bool]


class ExportAsked(TypedDict, total=False):
    """
    Which jobs are exported.

    Attributes:
        store: Only those in the store of this alias.
    """

    store: str


class ImportAsked(TypedDict, total=False):
    """
    How jobs are imported.

    Attributes:
        store: The alias of the store; by default "default".
        on_conflict: What happens if an id is taken; with "reset" the job of the file takes its place.
    """

    store: str
    on_conflict: Literal["error", "reset"]


class JobFile(TypedDict):
    """
    Jobs as export_jobs writes them into a file.

    Attributes:
        version: Of this form of files.
        jobs: The jobs, in the form in which job stores keep them.
    """

    version: int
    jobs: list[dict[str, Any]]


class JobsDocument(TypedDict):
    """
    Some jobs.

    Attributes:
        jobs: The jobs.
    """

    jobs: list[JobDocument]


class JobPageDocument(TypedDict):
    """
    Some jobs: store by store, those due first come first, paused ones last.

    Attributes:
        jobs: The jobs.
        next: Where the next page begins; null if this is the last one. A search may end before the page is full, and
            goes on there.
    """

    jobs: list[JobDocument]
    next: str | None


class RunPageDocument(TypedDict):
    """
    Some runs, the latest nominal time first.

    Attributes:
        runs: The runs.
        next: Where the next page begins; null if this is the last one.
    """

    runs: list[RunDocument]
    next: str | None


class NodesDocument(TypedDict):
    """
    The nodes of all stores.

    Attributes:
        nodes: The nodes; one that shares several stores is there once for each.
    """

    nodes: list[NodeDocument]


class UpcomingTimes(TypedDict):
    """
    The nominal times of a job to come.

    Attributes:
        job_id: The id of the job.
        store: The alias of its store.
        name: Its name.
        times: The times, before jitter.
        has_more: Whether there are more in the window.
    """

    job_id: str
    store: str
    name: str
    times: list[Instant]
    has_more: bool


class UpcomingDocument(TypedDict):
    """
    What is to come.

    Attributes:
        until: The end of the window.
        jobs: The jobs that are due in it, the first one first.
    """

    until: Instant
    jobs: list[UpcomingTimes]


class ExplanationDocument(TypedDict):
    """
    What comes next for a job, and what became of a nominal time.

    Attributes:
        text: All of it in sentences, one a line.
        next_times: The next nominal times; none for a job that is paused or gone.
        runs: The runs that answer for the nominal time that was asked for.
    """

    text: str
    next_times: list[Instant]
    runs: list[RunDocument]


class TriggerDocument(TypedDict):
    """
    A trigger in words, and its times.

    Attributes:
        schedule: The text that was asked for.
        words: What it says, in English.
        trigger: The trigger, as a program writes it.
        timezone: The zone in which it is read.
        next_times: Its next times.
        remarks: What becomes of it when clocks change within a year, a sentence each.
    """

    schedule: str
    words: str
    trigger: str
    timezone: str
    next_times: list[Instant]
    remarks: list[str]


class StoreHealthDocument(TypedDict):
    """
    How the loop of a store is.

    Attributes:
        node: The id under which the scheduler is known there.
        seconds_since_look: How long ago it last got an answer from its store; null if it never did.
        seconds_since_beat: How long ago it last gave a sign of life; null for a store that is not shared.
        failures: How many looks have failed in a row.
        last_error: What the last failure was; null if there was none.
        unrecorded: How many finished runs wait to be stored.
        is_trusted: Whether it can be sure that no other node has taken it for dead.
        live_nodes: How many nodes use the store, as far as is known.
    """

    node: str
    seconds_since_look: float | None
    seconds_since_beat: float | None
    failures: int
    last_error: str | None
    unrecorded: int
    is_trusted: bool
    live_nodes: int


class ExecutorHealthDocument(TypedDict):
    """
    How an executor is in use.

    Attributes:
        capacity: How many runs it takes at a time.
        in_use: How many it has.
        stuck: How many calls were given up and go on.
    """

    capacity: int
    in_use: int
    stuck: int


class LoopHealthDocument(TypedDict):
    """
    What has blocked the event loop.

    Attributes:
        times_blocked: How often it was blocked for too long.
        longest_block: For how many seconds at most.
        last_blocked_by: The job or listener of the last time; null if never.
    """

    times_blocked: int
    longest_block: float
    last_blocked_by: str | None


class HealthDocument(TypedDict):
    """
    How the scheduler is.

    Attributes:
        status: In one word.
        problems: What is wrong, a sentence each.
        node: Its id.
        runs_under_way: How many runs are claimed and not finished.
        jobstores: How the loop of each store is, by alias.
        executors: How each executor is in use, by alias.
        event_loop: What has blocked the event loop.
    """

    status: Literal["ok", "paused", "degraded", "down"]
    problems: list[str]
    node: str
    runs_under_way: int
    jobstores: dict[str, StoreHealthDocument]
    executors: dict[str, ExecutorHealthDocument]
    event_loop: LoopHealthDocument


class Problem(TypedDict):
    """
    Why a request was refused (RFC 9457).

    Attributes:
        type: Always about:blank: the status says which kind of problem it is.
        title: The kind in words.
        status: The status of the answer.
        detail: What is wrong, one sentence.
    """

    type: str
    title: str
    status: int
    detail: str
