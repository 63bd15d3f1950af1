from __future__ import annotations

import json

from pydantic import BaseModel
from samples import COLON, open_task

from promptkit import FakeModel, Store, compare
from promptkit.report import page, page_data


class Offer(BaseModel):
    name: str
    price: float
    count: int
    tags: list[str]


def test_many_measures_have_a_row_each_and_the_page_has_those_of_each_answer() -> None:
    gold = Offer(name="pear", price=2, count=3, tags=["a"])
    said = {"name": "pear", "price": 2.5, "count": 3, "tags": ["a", "b"]}
    task = open_task(Offer, gold, gold)
    model = FakeModel(lambda _: json.dumps(said))
    result = compare(task, models=[model], templates=[COLON], shots=[0], seeds=1, store=Store())
    lines = {line.split()[0]: line.split()[1:] for line in str(result).splitlines() if line.strip()}
    assert lines["measure"] == ["0", "shots"]
    assert lines["field.name"][:2] == ["100", "%"]
    assert lines["field.price"][:2] == ["0", "%"]
    assert lines["f1.tags"][:2] == ["67", "%"]
    assert lines["fields_micro"][:2] == ["50", "%"]
    payload = page_data.payload(result.to_records(), None)
    names = ["field.name", "field.price", "field.count", "field.tags", "f1.tags", "fields_micro"]
    assert payload["measured"] == names
    assert payload["columns"]["measures"] == [[1, 0, 1, 0, 0.667, 0.5]] * 2
    assert "field.price" in page.html(result.to_dict(), result.to_records(), None)
