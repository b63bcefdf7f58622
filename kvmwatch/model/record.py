"""What the records are made of: ``typing.NamedTuple``, of which a new kind costs a tenth.

A check has some sixty kinds of records, and makes one or none of most. ``typing`` compiles a constructor for each
kind and looks through its annotations, which was a quarter of all that a check takes more than bare Python. Here
annotations stay as they are written, and the constructor is compiled with the first record that needs one; from
then on one is as fast as the other. Type checkers are told that it is NamedTuple, and it behaves like that.

The core and the checks use it, which start most often. Modules with records postpone their annotations (``from
__future__ import annotations``), so that the fields are found in every Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["Record"]

if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from collections import _tuplegetter

    class _Kind(type):
        """The type of a kind of records: takes the fields and their defaults from the body of its class."""

        def __new__(kind, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            made = {field: _tuplegetter(number, None) for number, field in enumerate(fields)}
            made["_fields"] = made["__match_args__"] = fields
            made["_field_defaults"] = {field: body[field] for field in fields if field in body}
            return super().__new__(kind, name, bases, {"__slots__": (), **body, **made})

    class Record(tuple, metaclass=_Kind):
        """A tuple whose items have names."""

        def __new__(cls, /, *values, **named):
            """Make the first one, and a constructor for the others; what has only defaults needs none."""
            if not values and not named and len(cls._field_defaults) == len(cls._fields):
                return tuple.__new__(cls, cls._field_defaults.values())
            fields = ", ".join(cls._fields)
            constructor = eval(f"lambda _cls, {fields}: _new(_cls, ({fields},))", {"_new": tuple.__new__})
            constructor.__defaults__ = tuple(cls._field_defaults.values())
            cls.__new__ = constructor  # when all of it is made: another thread may take it from now on
            return constructor(cls, *values, **named)

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, /, **named):
            made = tuple.__new__(type(self), map(named.pop, self._fields, self))
            if named:
                raise ValueError(f"{type(self).__name__} has no {', '.join(named)}")
            return made

        def _asdict(self):
            return dict(zip(self._fields, self))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in zip(self._fields, self))})"

        def __getnewargs__(self):  # for pickle and copy
            return tuple(self)
