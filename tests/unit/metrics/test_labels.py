"""Label values are safe to show and never more than the budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.labels import LABEL_CHARACTERS_MAX, OTHER, label_value, plan_labels


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Team Nord", "Team Nord"),
        ("", "unassigned"),
        ("  \t ", "\ufffd"),
        ("a\nb\x00c", "a\ufffdb\ufffdc"),
        ("evil\u202egnp", "evil\ufffdgnp"),
        ("lone \ud800", "lone \ufffd"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_names_lose_only_what_breaks_a_line_or_deceives(name: str, shown: str) -> None:
    assert label_value(name) == shown


def test_long_names_are_cut_and_stay_different() -> None:
    one, other = label_value("x" * 500 + "1"), label_value("x" * 500 + "2")
    assert len(one) == len(other) == LABEL_CHARACTERS_MAX
    assert one != other


@given(st.text(max_size=300))
def test_any_name_becomes_a_label_that_can_be_encoded_on_one_line(name: str) -> None:
    label = label_value(name)
    assert 0 < len(label) <= LABEL_CHARACTERS_MAX
    assert label.encode().splitlines() == [label.encode()]
    assert label_value(label) == label


def plan(
    contributions: dict[str, int], keys_max: int, known: str = ""
) -> tuple[tuple[str, ...], dict[str, str], int]:
    names = sorted(contributions)
    found = plan_labels(
        names,
        np.ones(len(names), dtype=np.bool_),
        np.array([contributions[n] for n in names]),
        keys_max,
        np.array([name in known for name in names]),
    )
    shown = {name: found.labels[i] for name, i in zip(names, found.index_of.tolist(), strict=True)}
    return found.labels, shown, found.over_budget


def test_within_the_budget_everyone_has_a_label() -> None:
    assert plan({"b": 1, "a": 0}, 2) == (("a", "b"), {"a": "a", "b": "b"}, 0)


def test_over_the_budget_the_busiest_keep_theirs_and_ties_go_by_name() -> None:
    labels, shown, over = plan({"a": 1, "b": 5, "c": 1, "d": 9}, 3)
    assert labels == ("b", "d", OTHER)
    assert shown == {"a": OTHER, "b": "b", "c": OTHER, "d": "d"}
    assert over == 2


def test_over_the_budget_whom_the_roster_knows_is_shown_before_the_busiest_stranger() -> None:
    labels, shown, over = plan({"a": 9, "b": 0, "c": 7, "d": 1}, 3, known="bd")
    assert labels == ("b", "d", OTHER)
    assert (shown["a"], shown["c"], over) == (OTHER, OTHER, 2)


def test_someone_called_other_shares_the_overflow() -> None:
    labels, shown, _ = plan({"a": 1, OTHER: 9, "z": 5}, 2)
    assert labels == (OTHER,)
    assert set(shown.values()) == {OTHER}


def test_who_does_not_exist_has_no_label() -> None:
    found = plan_labels(["a", "b"], np.array([False, True]), np.array([0, 0]), 5)
    assert found.labels == ("b",)
    assert found.index_of.tolist() == [-1, 0]


@given(st.dictionaries(st.text("abcdo", max_size=3), st.integers(0, 5)), st.integers(1, 6))
def test_labels_never_exceed_the_budget(contributions: dict[str, int], keys_max: int) -> None:
    labels, shown, over = plan(contributions, keys_max)
    assert len(labels) == len(set(labels)) <= keys_max
    assert set(shown) == set(contributions)
    kept = set(labels) - {OTHER} if over else set(labels)
    assert over == len(contributions) - len(kept)
