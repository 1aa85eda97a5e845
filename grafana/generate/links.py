"""Where a click on a name leads: from a team or a rep to its own dashboard, with the window kept."""

from typing import Final

_KEEP: Final = "${window:queryparam}&${datasource:queryparam}"
_TEAM: Final = f"/d/salesfloor-team?{_KEEP}&var-team="
_REP: Final = f"/d/salesfloor-rep?{_KEEP}&var-team=$__all&var-rep="

TO_TEAM: Final = (("This team", _TEAM + "${__field.labels.team:percentencode}"),)
TO_REP: Final = (("This rep", _REP + "${__field.labels.rep:percentencode}"),)
ROW_TO_TEAM: Final = (("This team", _TEAM + "${__data.fields.team:percentencode}"),)
ROW_TO_REP: Final = (("This rep", _REP + "${__data.fields.rep:percentencode}"),)
