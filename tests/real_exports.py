"""Two public CRM exports, read by plain loops as their publishers describe them; knows no column map.

They are not part of this project. `SALESFLOOR_TEST_DATA` names the folder that holds `maven-crm` and
`olist-funnel`; without it, a folder `data` in a folder `shared` beside the project is looked at.
"""

import csv
import os
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zlib import crc32

import pytest

from oracle.customers import customers_of
from oracle.joins import DealStory, LeadStory, entries_of
from oracle.numbers import Books, Deal, Lead
from oracle.records import milliseconds
from oracle.windows import Floor, instant_of
from tests.strength import LONG

HOUR = timedelta(hours=1)
BRAZIL = Floor(zone="America/Sao_Paulo")


def export_folder(name: str) -> Path:
    """Return the folder of one export, or skip the test and say why."""
    named = os.environ.get("SALESFLOOR_TEST_DATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = (Path(named) if named else beside) / name
    if not folder.is_dir():
        pytest.skip(f"no real export at {folder}: set SALESFLOOR_TEST_DATA to the folder that holds {name}")
    return folder


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def _local_day(text: str, floor: Floor) -> int:
    """Return the first moment of a day that the export gives without an hour."""
    return instant_of(datetime.strptime(text, "%Y-%m-%d"), floor)  # noqa: DTZ007 - a wall time is meant


def _utc(text: str) -> int:
    return milliseconds(text.replace(" ", "T") + "+00:00")


def maven_books(folder: Path, floor: Floor) -> Books:
    """A hardware seller's 8,800 opportunities; dates are the floor's days, a lost deal's 0 is no amount."""
    manager_of = {row["sales_agent"]: row["manager"] for row in _rows(folder / "sales_teams.csv")}
    last_day_ms = _local_day("2017-12-31", floor)
    books = Books()
    for row in _rows(folder / "sales_pipeline.csv"):
        stage = row["deal_stage"]
        created_ms = _local_day(row["engage_date"], floor) if row["engage_date"] else None
        closed_ms = _local_day(row["close_date"], floor) if row["close_date"] else None
        amount = Fraction(row["close_value"]) if stage == "Won" else Fraction(0)
        told_ms = next(each for each in (closed_ms, created_ms, last_day_ms) if each is not None)
        status = {"Won": "won", "Lost": "lost"}.get(stage, "open")
        story = DealStory(stage_writes=((told_ms, stage),))
        books.deals.append(
            Deal(
                rep=row["sales_agent"],
                team=manager_of[row["sales_agent"]],
                stage=stage,
                status=status,
                first_ms=last_day_ms if created_ms is None else created_ms,
                created_ms=created_ms,
                closed_ms=closed_ms,
                amount=amount,
                has_amount=amount != 0,
                id=row["opportunity_id"],
                account=row["account"],
                products=("GTX Pro" if row["product"] == "GTXPro" else row["product"],),
                currency="USD",
                own_amount=amount,
                story=story,
                entries=entries_of(story, status, closed_ms),
            )
        )
    books.customers.customers = customers_of({}, books.deals)
    return books


def olist_books(folder: Path, floor: Floor) -> Books:
    """8,000 leads in Brazil, of whom 842 were won; contacts are days in Brazil, closing times are UTC."""
    contacts = {row["mql_id"]: row for row in _rows(folder / "olist_marketing_qualified_leads_dataset.csv")}
    closed = {row["mql_id"]: row for row in _rows(folder / "olist_closed_deals_dataset.csv")}
    books = Books()
    for lead_id, row in contacts.items():
        created_ms = _local_day(row["first_contact_date"], BRAZIL)
        deal = closed.get(lead_id)
        won_ms = None if deal is None else _utc(deal["won_date"])
        rep = "" if deal is None else deal["sr_id"]
        story = LeadStory(created_ms, won_ms, (), floor)
        books.leads.append(Lead(rep, "", created_ms, None, won_ms, story))
        if won_ms is not None:
            books.deals.append(
                Deal(rep, "", "", "won", won_ms, created_ms, won_ms, Fraction(0), has_amount=False)
            )
    return books


def instants(floor: Floor, day: str) -> list[int]:
    """Return the first moment of the day or one beside it or within the day; in a long run, both."""
    start = datetime.fromisoformat(day)
    start_ms = instant_of(start, floor)
    others = (start_ms + 1, start_ms - 1, instant_of(start + 14 * HOUR, floor) + 1234)
    chance = crc32(f"{floor.zone} {day}".encode())
    both = [start_ms, others[chance % 3]]
    return both if LONG else [both[chance // 3 % 2]]
