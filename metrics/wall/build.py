"""The newest snapshot and the panes in, every watched board's widgets out, once per tick. Reads no clock."""

from collections.abc import Iterable

from metrics.beside import BesideReport
from metrics.kpi_snapshot import KpiSnapshot
from metrics.reference import Stage
from metrics.snapshot import PaneImage, SnapshotConfig, Snapshotter
from metrics.stages import StageChances
from metrics.wall.boards import Board, FeedWidget
from metrics.wall.feed import Feed, FeedItem
from metrics.wall.numbers import Json, Numbers, missing
from metrics.wall.trend import Trends
from metrics.wall.widgets import Material, asks_of, build_widgets, trend_keys_of


class BoardBuilder:
    """Builds boards for one way of looking at the panes; keeps the trend lines from tick to tick."""

    def __init__(self, config: SnapshotConfig) -> None:
        self.config = config
        self._beside = Snapshotter(config.for_everybody())
        self._trends = Trends(config)
        self._feed = Feed()

    def build(
        self, boards: Iterable[Board], image: PaneImage, snapshot: KpiSnapshot, beside: BesideReport
    ) -> dict[str, list[Json]]:
        """Return the widgets of each board by the board's name. May take long: meant for a thread."""
        boards = tuple(boards)
        as_of_ms = snapshot.as_of_ms
        filters = missing((ask for board in boards for ask in asks_of(board)), self.config)
        more = None if filters is None else self._beside.take_kpis(image, as_of_ms, filters=filters)
        numbers = Numbers(snapshot, more, self.config)
        self._trends.refresh(image, as_of_ms, (key for board in boards for key in trend_keys_of(board)))
        stages = [record for record in image.references if isinstance(record, Stage)]
        material = Material(
            numbers=numbers,
            beside=beside,
            trends=self._trends,
            feed=self._feed_items(boards, image, as_of_ms, numbers),
            stages=stages,
            stage_probability=StageChances(stages, self.config.stage_probability).of_stage,
        )
        return {board.name: build_widgets(board, material) for board in boards}

    def _feed_items(
        self, boards: Iterable[Board], image: PaneImage, as_of_ms: int, numbers: Numbers
    ) -> tuple[FeedItem, ...]:
        if not any(isinstance(widget, FeedWidget) for board in boards for widget in board.widgets):
            return ()
        return self._feed.of(image.log, image.cells, as_of_ms, numbers.rep_names())
