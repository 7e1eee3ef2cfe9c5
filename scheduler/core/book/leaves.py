"""The share tree of the dispatcher: branches as they are known, by the numbers of their nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from scheduler.core.book.terms import Terms
from scheduler.core.branches import Branch, Leaf, branches_of
from scheduler.core.tree import Node, Tree

_NOTHING: Mapping[Branch, int] = {}


class Asker(NamedTuple):
    """Whose it is. is_call: a running job waits for it; is_hurried: somebody sits before it."""

    leaf: Leaf
    is_call: bool = False
    is_hurried: bool = False


class Leaves:
    """Grows as new users and organisations come, each with what it had used when the terms were read (at now_s).

    past: of branches whose use is better known than that, from the tree before (Tree.past).

    An organisation's calls are a leaf of their own, which goes before all others of it; then comes what its people sit
    before (interactive work), which is limited as all that is theirs.
    """

    def __init__(
        self,
        terms: Terms,
        people: Iterable[Asker],
        *,
        half_life_s: int,
        now_s: int,
        past: Mapping[Branch, int] = _NOTHING,
    ) -> None:
        self.tree = Tree([], half_life_s=half_life_s)
        self._terms, self._now_s, self.past = terms, now_s, dict(past)
        self._nodes: dict[Branch, int] = {}
        self._calls: dict[UUID, int] = {}
        self._hurried: dict[int, int] = {}
        self._limited_as: dict[int, int] = {}
        self._leaves: dict[int, Leaf] = {}
        self.calls: set[int] = set()
        """Nodes of organisations' calls."""
        for asker in sorted(people, key=str):
            self.of(asker)

    def __len__(self) -> int:
        return len(self.tree.paths)

    def of(self, asker: Asker) -> int:
        """The node of a leaf, of the calls of its organisation, or of its interactive work."""
        if asker.is_call:
            node = self._calls_of(asker.leaf[0])
        else:
            node = self.node(branches_of(asker.leaf)[-1])
            node = self._hurried_of(node) if asker.is_hurried else node
        self._leaves.setdefault(node, asker.leaf)
        return node

    def known_asker(self, asker: Asker) -> int:
        """The node of who has asked before; -1: of nobody."""
        node = self._nodes.get(branches_of(asker.leaf)[-1], -1)
        return self._hurried.get(node, -1) if asker.is_hurried else node

    def limited_by(self, leaf: int) -> tuple[int, ...]:
        """The nodes whose limits concern it, from the top."""
        return self.tree.paths[self._limited_as.get(leaf, leaf)]

    def known(self, branch: Branch) -> int | None:
        """Its node, if anybody asked for anything there."""
        return self._nodes.get(branch)

    def node(self, branch: Branch) -> int:
        """Added if it is new; so is what is above it."""
        known = self._nodes.get(branch)
        if known is not None:
            return known
        above = self.node(branch[:-1]) if len(branch) > 1 else None
        node = self._nodes[branch] = self.tree.add(Node(str(branch[-1]), _weight(branch, self._terms), above))
        if branch in self.past:
            self.tree.remembers(node, self.past[branch])
        else:
            self.tree.used_before(node, self._terms.used_micro_nu.get(branch, 0) * 36 // 10, self._now_s)
        return node

    def branches(self) -> Mapping[Branch, int]:
        """All that are known, and their nodes."""
        return self._nodes

    def level(self, node: int) -> int:
        """0: an organisation."""
        return len(self.tree.paths[node]) - 1

    def organisation(self, leaf: int) -> UUID:
        return self._leaves[leaf][0]

    def organisations(self) -> dict[UUID, int]:
        """Their nodes."""
        return {branch[0]: node for branch, node in self._nodes.items() if len(branch) == 1 and branch[0] is not None}

    def agreed(self, terms: Terms) -> None:
        """Of what weight the next ones are."""
        self._terms = terms

    def weigh_otherwise(self, terms: Terms) -> bool:
        """Whether any that is here weighs other than here."""
        weights = self.tree.weights
        return any(_weight(branch, terms) != weights[node] for branch, node in self._nodes.items())

    def _hurried_of(self, user: int) -> int:
        known = self._hurried.get(user)
        if known is None:
            known = self._hurried[user] = self.tree.add(Node("hurried", 0, self.tree.paths[user][0]))
            self._limited_as[known] = user
        return known

    def _calls_of(self, organisation: UUID) -> int:
        known = self._calls.get(organisation)
        if known is None:
            known = self._calls[organisation] = self.tree.add(Node("calls", 0, self.node((organisation,))))
            self.calls.add(known)
        return known


def _weight(branch: Branch, terms: Terms) -> int:
    if len(branch) > 1:
        return terms.weights.get(branch, 1)
    standing = None if branch[0] is None else terms.standings.get(branch[0])
    return 1 if standing is None else standing.weight
