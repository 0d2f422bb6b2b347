"""The record of an answer and the schema that is published of it."""

import json
from pathlib import Path

import cnn.study.answer
from cnn.study.answer import FORMAT, Refusal, schema, to_json

PUBLISHED = Path(cnn.study.answer.__file__).with_name("answer.schema.json")


def test_the_published_schema_is_that_of_the_record():
    """`pneumothorax schema` prints it; whoever changes the record writes it anew."""
    assert json.loads(PUBLISHED.read_text("utf-8")) == json.loads(json.dumps(schema()))


def test_the_schema_names_every_field_and_what_must_be_there():
    definitions = schema()["$defs"]
    answer = definitions["Answer"]
    assert {"probability", "probability_range", "reasons", "details", "mask"} <= set(
        answer["required"]
    )
    assert answer["properties"]["format"]["default"] == FORMAT
    mask = definitions["MaskAnswer"]["properties"]
    assert {"code", "expected_dice", "dice_at_least", "dice_level"} <= set(mask)


def test_a_refusal_is_one_line():
    line = to_json(Refusal("a\nb.dcm", 'a "b": is none.'))
    assert "\n" not in line and json.loads(line)["file"] == "a\nb.dcm"
