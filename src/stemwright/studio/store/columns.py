"""Columns that hold records as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import JSON, TypeDecorator

from stemwright.records import Fault, Record

if TYPE_CHECKING:
    from sqlalchemy import Dialect

R = TypeVar("R", bound=Record)


class RecordColumn(TypeDecorator[R], Generic[R]):
    """A record, stored as JSON without what is at its default if `brief`; SQL reaches into it as into any JSON."""

    impl = JSON
    cache_ok = True

    def __init__(self, kind: type[R], *, brief: bool = False) -> None:
        super().__init__()
        self.kind, self.brief = kind, brief

    def process_bind_param(self, value: R | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """The record as JSON."""
        return None if value is None else value.model_dump(mode="json", exclude_defaults=self.brief)

    def process_result_value(self, value: Any, dialect: Dialect) -> R | None:  # noqa: ARG002
        """The record of JSON. Raises `ValidationError` for JSON that is no such record."""
        return None if value is None else self.kind.model_validate(value)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """Compare parts of the record as JSON does."""
        return self.impl_instance.coerce_compared_value(op, value)


class SentColumn(TypeDecorator[dict[str, Fault | None]]):
    """The stages that were sent, each with what went wrong with it, as JSON."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: dict[str, Fault | None] | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """The stages as JSON."""
        return {stage: fault and fault.model_dump() for stage, fault in (value or {}).items()}

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Fault | None]:  # noqa: ARG002
        """The stages of JSON."""
        return {stage: fault and Fault.model_validate(fault) for stage, fault in value.items()}
