"""Real CRM exports through the product equal numbers counted straight from their CSV files."""

import asyncio
from datetime import datetime
from functools import cache
from pathlib import Path
from zlib import crc32
from zoneinfo import ZoneInfo

import pytest

from oracle.numbers import Books, answers
from oracle.windows import Floor, instant_of
from streams.publish_input import Ready, load_map, mapped_rows
from tests.product_path import ProductPath, differences
from tests.real_exports import export_folder, instants, maven_books, olist_books

SLOTS = 3

FLOORS = (
    Floor(),
    Floor(zone="America/New_York", week_start="sunday", fiscal_year_start_month=4),
    Floor(zone="America/Sao_Paulo"),
)


MAVEN_DAYS = (
    "2017-03-01",  # the first closings
    "2017-03-12",  # New York's clocks go forward
    "2017-06-30",
    "2017-10-15",  # Brazil's clocks go forward at midnight
    "2017-11-05",  # New York's clocks go back
    "2017-12-31",
    "2018-01-01",
    "2018-03-31",
)
OLIST_DAYS = (
    "2017-12-06",
    "2018-02-18",  # Brazil's clocks go back at midnight
    "2018-02-28",
    "2018-03-11",
    "2018-05-31",
    "2018-11-04",  # Brazil's clocks go forward, New York's back
    "2018-11-15",
)


async def published(folder: Path, name: str, floor: Floor) -> ProductPath:
    """Take the export through its column map into a folded, followed floor."""
    rows = mapped_rows(str(folder), load_map(name), ZoneInfo(floor.zone))
    ready = [row for row in rows if isinstance(row, Ready)]
    assert len(ready) == len(rows), [row for row in rows if not isinstance(row, Ready)][:3]
    path = ProductPath(floor, now_ms=instant_of(datetime(2019, 1, 1), floor), slots=SLOTS)  # noqa: DTZ001
    await path.arrive_raw([(row.topic, crc32(row.key) % SLOTS, row.value) for row in ready])
    return path


@cache
def maven(zone: str) -> tuple[ProductPath, Books]:
    floor = next(floor for floor in FLOORS if floor.zone == zone)
    folder = export_folder("maven-crm")
    return asyncio.run(published(folder, "maven-crm", floor)), maven_books(folder, floor)


@cache
def olist(zone: str) -> tuple[ProductPath, Books]:
    floor = next(floor for floor in FLOORS if floor.zone == zone)
    folder = export_folder("olist-funnel")
    return asyncio.run(published(folder, "olist-funnel", floor)), olist_books(folder, floor)


def check(path: ProductPath, books: Books, as_of_ms: int) -> None:
    found = differences(path.snapshot(as_of_ms), answers(books, as_of_ms, path.floor))
    assert not found, f"at {as_of_ms}:\n" + "\n".join(found[:20])


@pytest.mark.parametrize("day", MAVEN_DAYS)
@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.zone)
def test_maven_opportunities_equal_a_count_of_the_csv(floor: Floor, day: str) -> None:
    path, books = maven(floor.zone)
    for as_of_ms in instants(floor, day):
        check(path, books, as_of_ms)


@pytest.mark.parametrize("day", OLIST_DAYS)
@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.zone)
def test_olist_leads_equal_a_count_of_the_csv(floor: Floor, day: str) -> None:
    path, books = olist(floor.zone)
    for as_of_ms in instants(floor, day):
        check(path, books, as_of_ms)


def test_the_exports_hold_what_their_publishers_say() -> None:
    """Guards the comparison itself: two empty sides would agree."""
    deals = maven_books(export_folder("maven-crm"), FLOORS[0]).deals
    assert len(deals) == 8_800
    assert sum(deal.status == "won" for deal in deals) == 4_238
    assert sum(deal.amount for deal in deals) == 10_005_534
    books = olist_books(export_folder("olist-funnel"), FLOORS[0])
    assert (len(books.leads), len(books.deals)) == (8_000, 842)
