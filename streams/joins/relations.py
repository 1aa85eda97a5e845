"""Who names whom: an index that joins keep of their facts. Holds ids only."""


class Relation:
    """The entities that name an entity, by its id. "" names nobody."""

    def __init__(self) -> None:
        self._members: dict[str, set[str]] = {}

    def move(self, member: str, before: str, after: str) -> None:
        if before == after:
            return
        if before:
            members = self._members[before]
            members.discard(member)
            if not members:
                del self._members[before]
        if after:
            self._members.setdefault(after, set()).add(member)

    def of(self, named: str) -> set[str]:
        """Return a copy."""
        members = self._members.get(named)
        return set() if members is None else set(members)
