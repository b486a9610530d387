"""Define the entities of the address book."""

from __future__ import annotations

from msgspec import Struct


class Contact(Struct, frozen=True, gc=False, rename="lower"):
    """An entry of the company's address book. Topic ``contacts``, in the space ``book``.

    ``phone`` Mobile, ``data0`` Mobile2, ``data1`` Home, ``data2`` Home2, ``data3`` Business,
    ``data4`` Business2, ``data5`` Email, ``data6`` Other, ``data7`` Businessfax, ``data8`` Homefax,
    ``data9`` Pager.
    """

    id: int
    firstname: str = ""
    lastname: str = ""
    company: str = ""
    tag: str = ""
    phone: str = ""
    data0: str = ""
    data1: str = ""
    data2: str | None = None
    """Null: 3CX v20 has no Home2."""
    data3: str = ""
    data4: str = ""
    data5: str = ""
    data6: str = ""
    data7: str = ""
    data8: str | None = None
    """Null: 3CX v20 has no Homefax."""
    data9: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Return its phone numbers as written, without the e-mail address."""
        fields = (
            self.phone,
            self.data0,
            self.data1,
            self.data2,
            self.data3,
            self.data4,
            self.data6,
            self.data7,
            self.data8,
            self.data9,
        )
        return tuple(number for number in fields if number)

    @property
    def display_name(self) -> str:
        """Return first and last name, or the company's name if both are empty."""
        return " ".join(part for part in (self.firstname, self.lastname) if part) or self.company
