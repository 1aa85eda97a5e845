"""What stored sums mean, written down beside them: read back, compared, and not guessed."""

from datetime import date
from importlib.metadata import version

import msgspec

from streams.definition import differences, settings_under, shown_of
from streams.settings import FOLD_VERSION, Settings
from streams.stores.base import STORE_FORMAT

OLD = Settings.model_validate(
    {
        "clock": "event",
        "floor": {"zone": "Asia/Tehran", "holidays": ["2026-03-21"], "stage_probability": {"offer": 0.5}},
        "worker": {"retention_days": 400},
        "metrics": {"windows": ["1h"]},
    }
)
NEW = Settings.model_validate({"floor": {"name": "New"}, "metrics": {"port": 1}, "redis": {"namespace": "n"}})


def test_state_is_read_under_the_settings_it_was_folded_under() -> None:
    under = settings_under(shown_of(OLD, slots=4), NEW)
    assert under is not None
    assert (under.definition_version, under.clock) == (OLD.definition_version, "event")
    assert (under.floor.zone, under.floor.holidays) == ("Asia/Tehran", (date(2026, 3, 21),))
    assert under.worker.retention_days == 400


def test_addresses_doors_and_what_is_shown_stay_ones_own() -> None:
    under = settings_under(shown_of(OLD, slots=4), NEW)
    assert under is not None
    assert (under.metrics, under.redis, under.floor.name) == (NEW.metrics, NEW.redis, "New")


def test_ones_own_state_is_read_under_ones_own_settings_as_they_are() -> None:
    more_holidays = OLD.model_copy(
        update={"floor": OLD.floor.model_copy(update={"holidays": (date(2026, 12, 25),)})}
    )
    assert settings_under(shown_of(OLD, slots=4), more_holidays) is more_holidays


def test_what_differs_is_named_with_both_values() -> None:
    said = differences(shown_of(OLD, slots=4), NEW)
    assert said.startswith('clock "event", here "wall"; ')
    assert 'floor.zone "Asia/Tehran", here "UTC"' in said
    assert "floor.name" not in said
    assert said.endswith("; and 1 more"), said


def test_what_another_release_folded_is_not_guessed_at() -> None:
    shown = shown_of(OLD, slots=4)
    for definition in ("", "{", "[]"):
        other = msgspec.structs.replace(shown, definition=definition)
        assert settings_under(other, NEW) is None
        assert "another release" in differences(other, NEW)


def test_a_newer_and_an_older_release_are_told_apart() -> None:
    shown = shown_of(OLD, slots=4)
    for fold, said in (("9", "a newer release of salesfloor (0.9.1) folded it: fold 9"), ("1", "an older")):
        definition = shown.definition.replace(f'"fold": {FOLD_VERSION}', f'"fold": {fold}')
        other = msgspec.structs.replace(shown, definition=definition.replace(version("salesfloor"), "0.9.1"))
        assert settings_under(other, NEW) is None
        assert said in differences(other, NEW)


def test_state_that_another_release_arranged_is_not_read_whatever_it_says() -> None:
    other = msgspec.structs.replace(shown_of(NEW, slots=4), format=STORE_FORMAT + 1)
    assert settings_under(other, NEW) is None
    assert "Start that release again, or give this one another redis.namespace" in differences(other, NEW)


def test_secrets_of_doors_are_no_part_of_what_is_written_down() -> None:
    assert '"access"' not in shown_of(OLD, slots=4).definition


def test_a_definition_that_does_not_make_its_version_is_not_believed() -> None:
    shown = msgspec.structs.replace(shown_of(OLD, slots=4), version="0" * 12)
    assert settings_under(shown, NEW) is None
