"""The OpenAPI page names every path outside GraphQL with its methods, and no other; and it is a sound OpenAPI 3.1 document."""

from __future__ import annotations

from pathlib import Path

import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from fenzhi_graphql.app import routes

PAGE = Path(__file__).parents[2] / "docs/integrate/openapi.yaml"


def test_every_path_and_method_is_described() -> None:
    said = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
    described = {
        (path, method.upper())
        for path, item in said["paths"].items()
        for method in item
        if method in ("get", "put", "post", "head", "delete")
    }
    served = {
        (route.path, method)
        for route in routes(b"x" * 32)
        for method in route.methods or ()
        if not (method == "HEAD" and "GET" in (route.methods or ()))
    }
    assert described == served


def test_the_page_is_sound() -> None:
    said = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
    assert [str(error) for error in OpenAPIV31SpecValidator(said).iter_errors()] == []
