"""Generic models whose classes are made at run time: told apart, and read by other processes."""

from __future__ import annotations

from collections.abc import Callable
from operator import getitem
from typing import Annotated, Any, ClassVar, NamedTuple, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo


class Recipe(NamedTuple):
    """A function, and the arguments with which it makes a type; they may be recipes too."""

    make: Callable[..., Any]
    args: tuple[Any, ...]


class Typed(BaseModel):
    """A model that can be pickled although no module holds its class."""

    recipe: ClassVar[Recipe | None] = None
    """The recipe of a class that is neither in a module nor another one with parameters."""

    def __class_getitem__(cls, types: Any) -> Any:
        made: Any = super().__class_getitem__(types)
        args: tuple[Any, ...] = made.__pydantic_generic_metadata__["args"]
        if len(args) == 2 and args[0] is types[0] and repr(args[1]) != repr(types[1]):
            # pydantic remembers classes, and Literal["a", "b"] equals Literal["b", "a"].
            # The text of the type, which pydantic ignores, tells them apart.
            return super().__class_getitem__((types[0], Annotated[types[1], repr(types[1])]))
        return made

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        fields = type(self).model_fields  # without what was worked out of them
        state["__dict__"] = {k: v for k, v in state["__dict__"].items() if k in fields}
        return state

    def __reduce__(self) -> Any:
        return _restored, (_recipe(type(self)), self.__getstate__())


def _recipe(kind: Any) -> Any:
    """Return the recipe of a type, or the type itself where a module holds it."""
    if get_origin(kind) is Annotated:
        return Recipe(_with_types, (Annotated, *map(_recipe, get_args(kind))))
    if isinstance(kind, FieldInfo):  # some of whose constraints are of a class without a module
        local = [data for data in kind.metadata if "<locals>" in type(data).__qualname__]
        named = [data for data in kind.metadata if data not in local]
        given = {name: value for data in local for name, value in vars(data).items()}
        return Recipe(_field, ({**kind._attributes_set, **given}, named))
    if not (isinstance(kind, type) and issubclass(kind, Typed)):
        return kind
    generic = kind.__pydantic_generic_metadata__
    if generic["origin"] is None:
        return kind.recipe or kind
    return Recipe(_with_types, (generic["origin"], *map(_recipe, generic["args"])))


def _field(given: dict[str, Any], metadata: list[Any]) -> Any:
    info = Field(**given)
    info.metadata = [*metadata, *info.metadata]
    return info


def _with_types(generic: Any, *types: Any) -> Any:
    return getitem(generic, types)


def _made(recipe: Any) -> Any:
    return recipe.make(*map(_made, recipe.args)) if isinstance(recipe, Recipe) else recipe


def _restored(recipe: Any, state: dict[Any, Any]) -> Typed:
    kind = _made(recipe)
    value: Typed = kind.__new__(kind)
    value.__setstate__(state)
    return value
