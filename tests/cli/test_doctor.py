"""The command `apsched doctor`."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.cli.conftest import Shell


def test_a_store_in_order_has_no_findings(store: str, shell: Shell) -> None:
    assert (shell("doctor").code, shell("doctor").out) == (0, "Nothing is wrong.\n")
    assert shell("doctor", "--json").json == {"findings": []}


def test_what_is_wrong_is_told_with_what_to_do_and_the_exit_code_is_1(store: str, shell: Shell) -> None:
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE apsched_jobs SET next_run_time = 1, due_time = 1 WHERE id = 'weekly'")

    done = shell("doctor")

    assert done.code == 1
    assert done.out.splitlines()[0].split("  ")[0] == "found"
    assert "overdue  weekly" in done.out
    assert done.out.endswith("\n1 thing is wrong.\n")
    (finding,) = shell("doctor", "--json").json["findings"]
    assert list(finding) == ["what", "id", "detail", "advice"]
    assert (finding["what"], finding["id"]) == ("overdue", "weekly")
    assert finding["detail"].endswith("and no node has taken it")
    assert finding["advice"].startswith("start a node that has the executor 'default', ")


def test_what_may_wait_longer_is_not_found(store: str, shell: Shell) -> None:
    shell("trigger", "nightly")

    assert shell("doctor", "--grace", "1h").code == 0
    assert shell("doctor", "--grace", "0.000001s").code == 1
    assert shell("doctor", "--grace", "soon").code == 2
