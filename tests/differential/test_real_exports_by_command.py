"""Real CRM exports published and asked for by the commands a user types equal a count of their CSV files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oracle.numbers import Books, answers
from oracle.windows import Floor
from tests.floor_process import running_floor
from tests.histories import rfc3339
from tests.product_path import differences_of_json
from tests.real_exports import export_folder, instants, maven_books, olist_books

NEW_YORK = Floor(zone="America/New_York")
SAO_PAULO = Floor(zone="America/Sao_Paulo")


@pytest.mark.parametrize(
    ("name", "floor", "count", "days"),
    [
        ("maven-crm", NEW_YORK, maven_books, ("2017-03-12", "2017-11-05", "2017-12-31")),
        ("olist-funnel", SAO_PAULO, olist_books, ("2018-02-18", "2018-11-04")),
    ],
    ids=["maven-crm", "olist-funnel"],
)
def test_publish_and_snapshot_equal_a_count_of_the_csv(
    name: str, floor: Floor, count: Callable[[Path, Floor], Books], days: tuple[str, ...]
) -> None:
    folder = export_folder(name)
    books = count(folder, floor)
    with running_floor(SALESFLOOR_FLOOR__ZONE=floor.zone) as running:
        running.command("publish", str(folder), "--map", name, "--wait")
        running.command("publish", str(folder), "--map", name, "--wait")  # twice changes nothing
        for as_of_ms in [each for day in days for each in instants(floor, day)]:
            told = running.snapshot(rfc3339(as_of_ms))
            assert told["left_out"] == []
            found = differences_of_json(told, answers(books, as_of_ms, floor))
            assert not found, f"at {as_of_ms}:\n" + "\n".join(found[:20])
