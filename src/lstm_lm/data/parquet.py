"""A column of a Parquet file, in batches of rows: what is held is some pages, not a row group."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lstm_lm.errors import UserError

ROWS_AT_ONCE = 256
PAGE_BYTES = 1 << 20
"""That are read at once from the disk."""


def columns(path: Path) -> tuple[list[str], list[str]]:
    """The names of all columns, and of those that hold text.

    Raises:
        UserError: it is no Parquet file, or the package is missing.
    """
    with _opened(path) as file:
        schema = file.schema_arrow
        return list(schema.names), [field.name for field in schema if _is_text(field.type)]


def values(path: Path, column: str) -> Iterator[Any]:
    """What each row has in `column`: a text, or None.

    Raises:
        UserError: as `columns`; the column holds no text.
    """
    with _opened(path) as file:
        kind = file.schema_arrow.field(column).type
        if not _is_text(kind):
            texts = ", ".join(field.name for field in file.schema_arrow if _is_text(field.type)) or "none"
            raise UserError(f"{path}: column {column} holds {kind}, which is no text\nits columns of text: {texts}")
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[column], use_threads=False):
            yield from batch.column(batch.schema.get_field_index(column)).to_pylist()


def _is_text(kind: Any) -> bool:
    import pyarrow.types

    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return str(kind) in ("string", "large_string", "string_view")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UserError(f'{path}: Parquet needs a package: pip install "lstm-lm[parquet]"') from None
    try:
        with ParquetFile(path, buffer_size=PAGE_BYTES, pre_buffer=False) as file:
            yield file
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:  # KeyError: no such column any more
        raise UserError(
            f"{path}: cannot be read as a Parquet file ({' '.join(str(error).split()):.150})\nfetch or write it again"
        ) from None
