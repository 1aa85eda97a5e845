"""The page for readers says what the catalogue says."""

from pathlib import Path

from metrics.kpi_docs import page

PAGE = Path(__file__).parents[3] / "docs" / "kpis.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m metrics.kpi_docs > docs/kpis.md"
