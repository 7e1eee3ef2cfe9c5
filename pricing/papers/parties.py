"""Who gives a paper, and who receives it."""

from __future__ import annotations

from dataclasses import dataclass

from infra.paper.sheet import Fact, Party, Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """The seller of record, as its papers name it. registration_number: 'T' and thirteen digits."""

    name: str
    registration_number: str
    postal_code: str
    address: str
    contact: str
    """A telephone number or a mail address."""
    bank_account: str
    """Where to pay: bank, branch, kind, number, holder."""
    programme: str = ""
    """The subsidy programme by which prices are below the market's."""

    @property
    def party(self) -> Party:
        """As a sheet shows it."""
        return Party(name=self.name, lines=_lines(self.postal_code, self.address, self.contact))

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What must stand beside its name (消費税法 第57条の4第1項第1号: name and registration number)."""
        return (Fact(Words("登録番号", "Registration no."), self.registration_number),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Whom a paper is for: an organisation, so 御中 follows its name."""

    name: str
    postal_code: str = ""
    address: str = ""

    @property
    def party(self) -> Party:
        """As a sheet shows it."""
        return Party(name=self.name, honorific="御中", lines=_lines(self.postal_code, self.address))


def _lines(postal_code: str, *others: str) -> tuple[str, ...]:
    first = (f"〒{postal_code}",) if postal_code else ()
    return first + tuple(each for each in others if each)
