"""Records in, the same with every name that the roster does not say as `other`, the slow, obvious way.

Written from the sentence of the setting `roster_only`; shares no line with the product.
"""

from collections.abc import Iterable, Sequence

from oracle.records import Record, Write
from oracle.reference import Reference

OTHER = "other"
_FIELD = {"rep": "rep_id", "team": "team_id", "region": "region"}


def count_together(records: Iterable[Record], roster_only: Sequence[str], known: Reference) -> None:
    """Rename, at each of these levels, who is not on the roster; while there is none, nobody."""
    if not known.roster:
        return
    for level in roster_only:
        said = {getattr(entry, level) for entry in known.roster}
        for record in records:
            write = record.newest(_FIELD[level])
            if write is not None and write.value and write.value not in said:
                record.writes[_FIELD[level]] = [Write(write.time_ms, write.event_id, OTHER)]
