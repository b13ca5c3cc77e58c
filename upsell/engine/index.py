"""Campaigns compiled once into an immutable index; finds candidates without looking at the rest.

A campaign can only win where one of its triggers is in the order. So the index keeps, for
each thing a trigger can name, the ranks of the campaigns that name it (rank = position in
the order in which campaigns win), and one list for those that are always triggered. A
decision joins the few lists its lines lead to and looks at nothing else; its cost follows
the candidates, not the campaigns. The index is made anew when the version of the campaign
set, which every edit raises, is not the one it was made for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from upsell.engine.campaigns import CampaignSpec, ChannelPolicy, Status, TriggerKind
from upsell.engine.rules import Key, View

_DEFAULT = ChannelPolicy()


def rank(spec: CampaignSpec) -> tuple[int, float, int]:
    """Sort key, best first: priority, then the most recently edited, then the highest id."""
    return (-spec.priority, -spec.edited_at.timestamp(), -spec.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignIndex:
    """Every campaign that could win, by what triggers it. Share it between threads freely."""

    version: int
    ranked: tuple[CampaignSpec, ...]
    postings: Mapping[Key, tuple[int, ...]]
    always: tuple[int, ...]
    policies: Mapping[str, ChannelPolicy]
    total: int
    """Campaigns in all, those that are off included."""

    def __len__(self) -> int:
        return self.total

    def policy(self, channel: str) -> ChannelPolicy:
        """Return what holds for a sales channel: its own, else the one for all."""
        return self.policies.get(channel) or self.policies.get("") or _DEFAULT

    def candidates(self, view: View) -> Iterator[CampaignSpec]:
        """Yield the campaigns with a trigger in the occasion, best first."""
        found = set(self.always)
        for key in view.units:
            found.update(self.postings.get(key, ()))
        return (self.ranked[position] for position in sorted(found))


def compile_index(
    campaigns: Iterable[CampaignSpec],
    *,
    version: int,
    policies: Mapping[str, ChannelPolicy] | None = None,
) -> CampaignIndex:
    """Compile campaigns into an index.

    Cost: sorting them, and one entry per trigger. Campaigns that are off are left out.
    """
    specs = list(campaigns)
    ranked = tuple(sorted((s for s in specs if s.status is not Status.OFF), key=rank))
    postings: dict[Key, list[int]] = {}
    always: list[int] = []
    for position, spec in enumerate(ranked):
        keys = {(trigger.kind, trigger.ref) for trigger in spec.triggers}
        if any(kind is TriggerKind.ALWAYS for kind, _ in keys):
            always.append(position)
            continue
        for key in keys:
            postings.setdefault(key, []).append(position)
    return CampaignIndex(
        version=version,
        ranked=ranked,
        postings={key: tuple(ranks) for key, ranks in postings.items()},
        always=tuple(always),
        policies=dict(policies or {}),
        total=len(specs),
    )
