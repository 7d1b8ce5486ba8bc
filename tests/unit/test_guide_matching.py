"""A guide's examples are held to what it shows, no more and no less."""

import pytest

from tests.e2e.guide import Example, differences, examples_of

GUIDE = """
Ask:

```sh
echo '{"id": 7}'
```

and it answers

```json
{"id": …}
```

```python
print("tea")
```
"""


def shown(text: str, kind: str = "json") -> Example:
    return Example(1, "sh", "", text, kind)


def test_an_example_and_what_it_prints_are_found_in_their_order():
    first, second = examples_of(GUIDE)

    assert (first.line, first.language, first.code) == (4, "sh", "echo '{\"id\": 7}'\n")
    assert (first.shown, first.shown_as) == ('{"id": …}\n', "json")
    assert (second.language, second.shown) == ("python", None)


@pytest.mark.parametrize(
    ("guide", "printed"),
    [
        ('{"a": …, "b": 2}', '{"a": {"any": "thing"}, "b": 2}'),
        ('{"a": "x-…"}', '{"a": "x-17"}'),
        ('{"a": 1, …}', '{"a": 1, "b": 2}'),
        ('{\n  "a": 1,\n  …\n}', '{"a": 1}'),
        ("[1, …]", "[1, 2, 3]"),
        ("[…]", "[]"),
        ('{"a": "say \\"…\\""}', '{"a": "say \\"tea\\""}'),
    ],
)
def test_dots_stand_for_anything(guide, printed):
    assert differences(shown(guide), printed) == []


@pytest.mark.parametrize(
    ("guide", "printed"),
    [
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"a": 1, "b": …}', '{"a": 1}'),
        ('{"a": 1, …}', '{"a": 2, "b": 2}'),
        ('{"a": "x-…"}', '{"a": "y-17"}'),
        ('{"a": "x-…"}', '{"a": 17}'),
        ('{"a": 1}', '{"a": true}'),
        ("[1]", "[1, 2]"),
        ("[1, 2, …]", "[1]"),
        ('{"a": null}', '{"a": ""}'),
        ("{}", "no JSON"),
    ],
)
def test_all_else_must_be_equal(guide, printed):
    assert differences(shown(guide), printed)


def test_a_text_fits_as_a_whole():
    assert not differences(
        shown("event: token\n…\nevent: done\n", "text"), "event: token\ndata: x\n\nevent: done\n"
    )
    assert differences(shown("event: token\n", "text"), "event: token\nevent: done\n")
