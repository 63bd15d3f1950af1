"""Gates in a test suite: the fixture `gate`, which pytest finds by itself.

pytest imports this in every session, so it imports nothing of ours until the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from promptkit.gates.check import Checked
    from promptkit.models.base import Model


@pytest.fixture(scope="session")
def _promptkit_load() -> Callable[[str], Model]:
    """Loads a model by its name, once a session."""
    import promptkit

    def load(name: str) -> Model:
        from promptkit.models.remote.address import is_url

        return promptkit.load_server(name) if is_url(name) else promptkit.load_model(name)

    return cache(load)


@pytest.fixture
def gate(
    request: pytest.FixtureRequest, _promptkit_load: Callable[[str], Model]
) -> Callable[..., Checked]:
    """Checks a task as `promptkit check` does, and fails the test with the reason.

    `gate("examples/fruit", shots=[4], min={"accuracy": 0.5}, no_worse_than="runs/last")` takes what
    `promptkit.check` takes; `models` may also be names, which are loaded once a session. What the
    gates came to stands in the test's report, whether it passes or not.
    """

    def check(task: Any, *, models: Sequence[Model | str] = ("smollm2",), **arguments: Any) -> Any:
        __tracebackhide__ = True
        import promptkit

        try:
            loaded = [_promptkit_load(one) if isinstance(one, str) else one for one in models]
            checked = promptkit.check(task, models=loaded, **arguments)
        except promptkit.PromptkitError as error:
            pytest.fail(str(error), pytrace=False)
        if not checked.passed:
            pytest.fail(str(checked), pytrace=False)
        request.node.add_report_section("call", "promptkit", str(checked))
        return checked

    return check
