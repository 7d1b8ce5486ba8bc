"""Fills a template: ${name} takes the value of that name, and nothing may be left over on either side.

    render('name: "${model}"', {"model": "llama-3.1-8b@1"})

A value is escaped for the inside of a quoted string, of protobuf's text format and of YAML alike: a chat template
of many lines and quotes stays one string. Numbers and plain words are the same either way.
"""

import json
from collections.abc import Mapping
from string import Template


class UnfitValues(ValueError):
    """A template and its values do not fit; the message names what is missing and what is too much."""


def render(template: str, values: Mapping[str, object]) -> str:
    """The template with its values. Raises UnfitValues."""
    wanted = set(Template(template).get_identifiers())
    missing, unknown = sorted(wanted - values.keys()), sorted(values.keys() - wanted)
    if missing or unknown:
        raise UnfitValues(
            " and ".join(
                [f"no value for {name}" for name in missing] + [f"no place for {name}" for name in unknown]
            )
        )
    return Template(template).substitute({name: escaped(str(value)) for name, value in values.items()})


def escaped(value: str) -> str:
    """A text as it stands between double quotes."""
    return json.dumps(value, ensure_ascii=False)[1:-1]
