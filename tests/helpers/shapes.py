"""Functions with the shapes of their signatures enforced, and numbers to give them."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin

import jax
import numpy as np
from jaxtyping import AbstractArray, jaxtyped


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a jaxtyping hint, or a tuple of them, says; other hints pass."""
    if get_origin(hint) is tuple:
        return all(fits(*pair) for pair in zip(value, get_args(hint), strict=True))
    return not (isinstance(hint, type) and issubclass(hint, AbstractArray)) or isinstance(
        value, hint
    )


def typechecker(function: Callable[..., Any]) -> Callable[..., Any]:
    """The plainest type checker that jaxtyping can work with."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(function).bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if not fits(value, function.__annotations__.get(name)):
                raise TypeError(name)
        result = function(*args, **kwargs)
        if not fits(result, function.__annotations__.get("return")):
            raise TypeError("return")
        return result

    return wrapper


def checked(function: Callable[..., Any], *static: str) -> Callable[..., Any]:
    """The function, compiled, with the shapes in its signature enforced."""
    return jax.jit(jaxtyped(function, typechecker=typechecker), static_argnames=static)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Uniform float32 numbers in [0, 1)."""
    return np.random.default_rng(seed).random(shape, np.float32)
