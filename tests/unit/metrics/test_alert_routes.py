"""Who is told and when: receivers without a secret, nights and holidays, one cause one notice."""

from datetime import date

from metrics.alerts.plan import SLOW, STALE, AlertPlan
from metrics.alerts.routes import Delivery, FloorHours, alertmanager_tree, closed_times
from metrics.calendar import WEEKDAYS

DOOR = Delivery("http://gateway:8401/alertmanager", "/run/secrets/token")
OFFICE = FloorHours("Asia/Singapore", dict.fromkeys(WEEKDAYS[:5], (540, 1080)))
ALWAYS = FloorHours("UTC", dict.fromkeys(WEEKDAYS, (0, 1440)))


def receiver(delivery: Delivery, name: str) -> dict[str, object]:
    receivers = alertmanager_tree(AlertPlan(), delivery, OFFICE)["receivers"]
    assert isinstance(receivers, list)
    return next(each for each in receivers if each["name"] == name)


def test_nights_days_off_and_holidays_are_closed_on_the_floors_clock() -> None:
    hours = FloorHours(
        "Asia/Singapore",
        {**dict.fromkeys(WEEKDAYS[:4], (540, 1080)), "friday": (0, 780)},
        (date(2026, 12, 26), date(2026, 12, 25), date(2027, 1, 1)),
    )
    zone = {"location": "Asia/Singapore"}
    assert closed_times(hours) == [
        {"weekdays": ["saturday", "sunday"], **zone},
        {
            "times": [
                {"start_time": "00:00", "end_time": "09:00"}, {"start_time": "18:00", "end_time": "24:00"},
            ],
            "weekdays": ["monday", "tuesday", "wednesday", "thursday"], **zone,
        },
        {"times": [{"start_time": "13:00", "end_time": "24:00"}], "weekdays": ["friday"], **zone},
        {"years": ["2026"], "months": ["12"], "days_of_month": ["25", "26"], **zone},
        {"years": ["2027"], "months": ["1"], "days_of_month": ["1"], **zone},
    ]  # fmt: skip


def test_a_floor_that_never_closes_and_one_that_wants_to_hear_mute_nothing() -> None:
    assert closed_times(ALWAYS) == []
    for delivery, hours in ((DOOR, ALWAYS), (Delivery("http://x", mute_outside_hours=False), OFFICE)):
        tree = alertmanager_tree(AlertPlan(), delivery, hours)
        assert "time_intervals" not in tree
        assert "mute_time_intervals" not in str(tree["route"])


def test_without_an_address_people_are_told_nothing_and_the_door_everything() -> None:
    assert receiver(DOOR, "people") == {"name": "people"}
    assert receiver(DOOR, "salesfloor")["webhook_configs"] == [
        {
            "url": "http://gateway:8401/alertmanager",
            "send_resolved": True,
            "max_alerts": 500,
            "http_config": {
                "authorization": {"type": "Bearer", "credentials_file": "/run/secrets/token"},
            },
        }
    ]


def test_mail_slack_and_webhook_name_the_files_of_their_secrets() -> None:
    people = receiver(
        Delivery(
            "http://gateway",
            mail_to=("a@example.com", "b@example.com"), mail_from="floor@example.com",
            mail_smarthost="smtp.example.com:587", mail_username="floor", mail_password_file="/run/mail",
            slack_channel="#ops", slack_url_file="/run/slack",
            webhook_url="https://bot.example.com", webhook_token_file="/run/bot",
        ),
        "people",
    )  # fmt: skip
    mail, slack, webhook = (people[kind] for kind in ("email_configs", "slack_configs", "webhook_configs"))
    assert isinstance(mail, list)
    assert mail[0].items() >= {
        "to": "a@example.com, b@example.com", "auth_username": "floor", "auth_password_file": "/run/mail",
    }.items()  # fmt: skip
    assert isinstance(slack, list)
    assert slack[0].items() >= {"api_url_file": "/run/slack", "channel": "#ops"}.items()
    assert isinstance(webhook, list)
    assert webhook[0]["http_config"]["authorization"]["credentials_file"] == "/run/bot"


def test_an_alert_that_is_off_keeps_nothing_back() -> None:
    tree = alertmanager_tree(AlertPlan(off=(STALE, SLOW)), DOOR, OFFICE)
    assert STALE not in str(tree["inhibit_rules"]).replace(f'alertname="{STALE}"', "")
    assert SLOW not in str(tree["inhibit_rules"])
