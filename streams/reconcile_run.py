"""A snapshot of the CRM in; corrections on Kafka, the drift found and the records now complete out.

Reads the export and the state in Redis, whole; what they come to is `streams.reconcile`'s to say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from streams import layout
from streams.clock import Clock, SystemClock
from streams.decode import FUTURE_MAX_MS
from streams.definition import differences, settings_under
from streams.events import EntityKind
from streams.gateway.incomplete import Key
from streams.gateway.incomplete_list import forget, read_incomplete
from streams.gateway.model import Thin
from streams.metrics_role import open_store
from streams.publish import Progress, PublishError, PublishReport, wait_until_folded
from streams.publish_input import InputError, Ready, Refused, json_lines, load_map, mapped_rows, open_events
from streams.publisher import Publisher
from streams.reconcile import (
    RECONCILED,
    Counts,
    Drift,
    Entity,
    Exported,
    Finding,
    Terms,
    add,
    compared,
    filled_by,
)
from streams.reconcile_feed import LastReconcile
from streams.rfc3339 import rfc3339
from streams.routing import Routed, route
from streams.settings import Settings
from streams.settings_rules import fold_rules
from streams.stores.base import SlotImage, StoreUnavailable
from streams.stores.reconciled import ReconciledStore
from streams.stores.redis import RedisStore
from streams.switching import generation_of
from streams.topics import ACTIVITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """What is asked for."""

    file: str
    map: str | None = None
    as_of_ms: int | None = None
    """When the export was made; None: the newest time that it tells."""
    delete_missing: bool = False
    source: str | None = None
    """Whose incomplete records the export completes; None: all, where there is one source only."""
    dry_run: bool = False
    wait: bool = False


@dataclass
class ReconcileReport:
    as_of_ms: int = 0
    counts: Counts = field(default_factory=Counts)
    drifts: list[Drift] = field(default_factory=list)
    """Without the entities that are the same."""
    completed: list[Key] = field(default_factory=list)
    still_incomplete: int = 0
    published: int = 0
    refused: list[Refused] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


async def reconcile(
    asked: Reconcile, settings: Settings, *, clock: Clock | None = None, progress: Progress | None = None
) -> ReconcileReport:
    """Compare and correct. Raises `InputError`, `PublishError` and what Kafka and Redis raise."""
    report = ReconcileReport()
    exported = _read(asked, settings, report)
    now_ms = (clock or SystemClock()).now_ms()
    store = open_store(settings)
    try:
        images = await _images(store, settings)
        report.as_of_ms = _as_of(asked, exported, now_ms)
        terms = _terms(asked, report, settings, images, now_ms)
        live = {
            entity: packed
            for image in images
            for name, packed in image.entities.items()
            if (entity := layout.entity_of_field(name)) is not None
        }
        for drift in compared(exported, live, terms):
            report.counts.count(drift)
            if drift.finding is not Finding.SAME:
                report.drifts.append(drift)
        if not asked.dry_run:
            await _publish(asked, settings, report, store, progress)
    finally:
        await store.close()
    await _complete(asked, settings, exported, report)
    await _keep(settings, report, now_ms)
    return report


async def _keep(settings: Settings, report: ReconcileReport, now_ms: int) -> None:
    """Let the metrics role show what was found."""
    last = LastReconcile(
        ran_at_ms=now_ms,
        as_of_ms=report.as_of_ms,
        findings={
            kind: {str(finding): count for finding, count in found.items()}
            for kind, found in report.counts.findings.items()
        },
        corrections=sum(len(drift.events) for drift in report.drifts),
        published=report.published,
    )
    store = ReconciledStore(settings.redis.url.get_secret_value(), namespace=settings.redis.namespace)
    try:
        await store.keep(last.packed())
    except StoreUnavailable as error:
        report.warnings.append(f"what was found is no metric: {error}")
    finally:
        await store.close()


def _read(asked: Reconcile, settings: Settings, report: ReconcileReport) -> dict[Entity, Exported]:
    exported: dict[Entity, Exported] = {}

    def take(items: Iterable[Ready | Refused]) -> None:
        for item in items:
            routed = route(item.value) if isinstance(item, Ready) else None
            if isinstance(item, Refused):
                report.refused.append(item)
            elif isinstance(routed, Routed) and routed.event.kind in RECONCILED:
                add(exported, item.value, routed.event)
            else:
                report.refused.append(Refused(item.file, item.line, "reference records are not reconciled"))

    if asked.map is not None:
        take(mapped_rows(asked.file, load_map(asked.map), settings.floor.tzinfo))
    else:
        with open_events(asked.file) as opened:
            take(json_lines(opened, "standard input" if asked.file == "-" else asked.file))
    if not exported:
        raise InputError(f"{asked.file} tells of no record, so there is nothing to compare with")
    if report.refused and asked.delete_missing:
        bad = report.refused[0]
        raise InputError(
            f"{len(report.refused)} lines cannot be read ({bad.file}:{bad.line}: {bad.reason}), and their "
            "records would be deleted as missing; mend them, or leave out --delete-missing"
        )
    return exported


async def _images(store: RedisStore, settings: Settings) -> list[SlotImage]:
    shown = await store.shown()
    if shown is None:
        raise PublishError(
            "Redis holds no salesfloor state yet; start `salesfloor worker`, or publish plainly"
        )
    if settings_under(shown, settings) is None:
        raise PublishError(f"the state in Redis cannot be read here: {differences(shown, settings)}")
    of = store.of_generation(await generation_of(shown, store), version=shown.version)
    try:
        return [await of.read_image(slot) for slot in range(shown.slots)]
    finally:
        await of.close()


def _as_of(asked: Reconcile, exported: dict[Entity, Exported], now_ms: int) -> int:
    newest_ms = max(told.state.last_seen_ms for told in exported.values())
    if asked.as_of_ms is None:
        return min(newest_ms, now_ms)
    if asked.as_of_ms > now_ms + FUTURE_MAX_MS:
        raise InputError(f"--as-of {rfc3339(asked.as_of_ms)} is in the future; say when the export was made")
    if asked.as_of_ms < newest_ms:
        raise InputError(
            f"--as-of {rfc3339(asked.as_of_ms)} is before {rfc3339(newest_ms)}, of which the export tells; "
            "say when it was made"
        )
    return asked.as_of_ms


def _terms(
    asked: Reconcile,
    report: ReconcileReport,
    settings: Settings,
    images: Sequence[SlotImage],
    now_ms: int,
) -> Terms:
    rules = fold_rules(settings)
    boards = [image.board.fields.get(layout.FACTS_FIELD) for image in images]
    facts = [layout.unpack_facts(packed) for packed in boards if packed is not None]
    behind = sum(sum(one.behind.values()) for one in facts)
    if behind:
        report.warnings.append(
            f"workers have about {behind} records still to fold, which the comparison does not know of; "
            "compare again when they have"
        )
    newest_ms = max((one.newest_event_ms or 0 for one in facts), default=0)
    base_ms = now_ms if settings.clock == "wall" else newest_ms
    oldest_ms = base_ms - rules.retention_ms
    if report.as_of_ms < oldest_ms:
        raise InputError(
            f"the export is of {rfc3339(report.as_of_ms)}, before what workers keep; say with --as-of when "
            "it was made"
        )
    newest_activity_ms = max((one.newest_ms.get(ACTIVITIES, 0) for one in facts), default=0)
    return Terms(
        as_of_ms=report.as_of_ms,
        oldest_ms=oldest_ms,
        oldest_activity_ms=newest_activity_ms - rules.activity_horizon_ms,
        delete_missing=asked.delete_missing,
    )


async def _publish(
    asked: Reconcile,
    settings: Settings,
    report: ReconcileReport,
    store: RedisStore,
    progress: Progress | None,
) -> None:
    values = [value for drift in report.drifts for value in drift.events]
    if not values:
        return
    told = PublishReport()
    async with Publisher(settings) as publisher:
        for value in values:
            routed = route(value)
            assert isinstance(routed, Routed), "corrections and the export's events are of the contract"
            await publisher.send_record(routed.topic, routed.key, value)
            report.published = told.published = report.published + 1
            if progress is not None and report.published % 500 == 0:
                progress(told)
        await publisher.flush()
        if asked.wait:
            await wait_until_folded(store, publisher.targets)


async def _complete(
    asked: Reconcile, settings: Settings, exported: dict[Entity, Exported], report: ReconcileReport
) -> None:
    """Take off the list what the export filled. It is read only now: what was told meanwhile is newer and
    stays."""
    standing = await read_incomplete(settings)
    is_filled = filled_by(exported, report.drifts)
    several = asked.source is None and len({key.source for key in standing}) > 1
    done: list[tuple[Key, Thin]] = []
    unnamed = 0
    for key, thin in standing.items():
        if asked.source not in (None, key.source) or thin.time_ms > report.as_of_ms:
            continue
        if not is_filled(EntityKind(thin.kind), key.id) or (report.refused and not key.id):
            continue
        if several and not key.id:
            unnamed += 1  # an export of one CRM says nothing of all records of another
            continue
        done.append((key, thin))
    if unnamed:
        report.warnings.append(
            f"{unnamed} entries ask for all records of a source, and there are several sources; say with "
            "--source whose export this is"
        )
    if done and not asked.dry_run:
        await forget(settings, done)
    report.completed = [key for key, _ in done]
    report.still_incomplete = len(standing) - (0 if asked.dry_run else len(done))
