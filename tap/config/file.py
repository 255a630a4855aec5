"""The configuration file, as docs/reference/options.md shows it: TOML, with the options of a Config as its keys."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import StrictBool, StrictInt, create_model, model_validator

from tap import toml
from tap.config.config import Config
from tap.config.link_config import ONE_MASTER, LinkConfig, link_name
from tap.config.option import Declared, FromText, FromWords, declared
from tap.errors import ConfigError
from tap.toml import Table, parsed


class _LinkTable(Table):
    @model_validator(mode="after")
    def _has_one_master(self) -> "_LinkTable":
        if ("master" in self.model_fields_set) == bool(getattr(self, "transparent", None)):
            raise ValueError(ONE_MASTER)
        return self


def load(path: Path) -> Config:
    """Read a TOML file as docs/reference/options.md shows it. Raises ConfigError naming file, line and key."""
    return Config(**load_options(path))


def load_options(path: Path) -> dict[str, Any]:
    """The options that a file gives, by the names of Config's fields. Raises ConfigError as load()."""
    file: Any = toml.load(path, _model(), table='[links.orders] with master = "127.0.0.1:6379"')
    try:
        links = tuple(LinkConfig(name=name, **_given(LinkConfig, link)) for name, link in file.links.items())
        options = {"links": links, **_given(Config, file)}
        Config(**options).check_has_link()
        return options
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _model() -> type[Table]:
    """The model of the whole file."""
    link = create_model("Link", __base__=_LinkTable, **_keys(declared(LinkConfig)))
    links: Any = (dict[Annotated[str, parsed(link_name)], link], {})  # type: ignore[valid-type]
    return create_model("File", __base__=Table, **_keys(declared(Config)), links=links)


def _keys(options: Iterable[Declared]) -> dict[str, Any]:
    """pydantic's fields: by key, the type and the default None, for a key that is left out."""
    return {one.key: (_kind(one), None) for one in options if one.option.in_file}


def _kind(one: Declared) -> Any:
    if isinstance(one.read, FromText) and one.read.parse is not Path:
        return Annotated[Any, parsed(one.read.parse)]
    if isinstance(one.read, FromWords):
        word: Any = get_args(one.kept)[0] if one.read.each is None else Annotated[str, parsed(one.read.each)]
        return tuple[word, ...]
    return {bool: StrictBool, int: StrictInt}.get(one.kept, one.kept)


def _given(cls: type, table: Table) -> dict[str, Any]:
    """The values given in the table, by the names of the class's fields."""
    there = [one for one in declared(cls) if one.option.in_file and one.key in table.model_fields_set]
    return {one.name: getattr(table, one.key) for one in there}
