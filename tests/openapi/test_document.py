"""What /openapi.json and /docs say, apart from what schemathesis checks."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

from aiohttp import web

from mpanel_billing import http
from mpanel_billing.http import schemas
from mpanel_billing.http.app import create_app
from mpanel_billing.http.endpoint import Endpoints
from mpanel_billing.http.openapi.document import DOCUMENT
from mpanel_billing.http.operation import operation_of
from mpanel_billing.http.schemas.base import Request, Schema
from tests.service import AppClient, make_settings


def make_app() -> web.Application:
    return create_app(make_settings())


def declared_handlers() -> set[Callable[..., Any]]:
    """What the modules of the HTTP package declare, whether it was added to the app or not."""
    names = [module.name for module in walk_packages(http.__path__, f"{http.__name__}.")]
    tables = [getattr(import_module(name), "routes", ()) for name in names]
    return {route.handler for table in tables if isinstance(table, Endpoints) for route in table}


def test_every_route_is_described_and_nothing_else() -> None:
    app = make_app()
    routes = [route for route in app.router.routes() if route.method != "HEAD"]
    undescribed = [route for route in routes if operation_of(route.handler) is None]
    assert undescribed == []
    assert declared_handlers() == {route.handler for route in routes}
    written = {
        (method.upper(), path)
        for path, methods in app[DOCUMENT].content["paths"].items()
        for method in methods
    }
    assert written == {
        (route.method, route.resource.canonical) for route in routes if route.resource
    }


def test_every_name_in_a_path_is_described() -> None:
    for path, methods in make_app()[DOCUMENT].content["paths"].items():
        for operation in methods.values():
            described = [
                one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"
            ]
            assert described == re.findall(r"{(\w+)}", path), path


def test_operations_have_names_of_their_own_and_say_what_they_do() -> None:
    operations = [
        operation
        for methods in make_app()[DOCUMENT].content["paths"].values()
        for operation in methods.values()
    ]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"].endswith(".") for operation in operations)


def test_each_guarded_address_names_its_scope() -> None:
    for path, methods in make_app()[DOCUMENT].content["paths"].items():
        area = next(
            (name for name in ("admin", "billing") if path.startswith(f"/api/{name}")), None
        )
        for method, operation in methods.items():
            if area is None:
                assert operation["security"] in ([], [{}, {"key": ["billing:change"]}]), path
                continue
            [(_, [scope])] = operation["security"][0].items()
            reads = method == "get" or "/preview-" in path
            assert scope.startswith(f"{area}:"), path
            assert scope.endswith(":read") == reads, path


def test_the_document_refers_only_to_what_exists() -> None:
    document = make_app()[DOCUMENT]
    wanted = set(re.findall(rb'"#/components/schemas/([^"]+)"', document.json))
    assert {name.decode() for name in wanted} <= document.content["components"]["schemas"].keys()
    assert document.content["servers"] == [{"url": "http://panel.test"}]


async def test_both_are_served_without_a_key_and_without_a_database(
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> None:
    client = await aiohttp_client(make_app())
    answer = await client.get("/openapi.json")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert (await answer.json())["openapi"] == "3.1.0"
    page = await client.get("/docs")
    assert (page.status, page.content_type) == (200, "text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere() -> None:
    document = make_app()[DOCUMENT]
    for methods in document.content["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in document.page
    assert re.findall(r"""(?:src|href)=["'](?!#|openapi\.json)""", document.page) == []
    assert "<script" not in document.page


def test_the_links_of_the_page_lead_somewhere() -> None:
    page = make_app()[DOCUMENT].page
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))


def test_no_two_schemas_have_one_name() -> None:
    """Programs that generate clients make a class of each."""
    for module in walk_packages(schemas.__path__, f"{schemas.__name__}."):
        import_module(module.name)
    models = [
        model.__name__
        for model in subclasses(Schema) | subclasses(Request)
        if model.__module__.startswith(f"{http.__name__}.")
    ]
    assert [name for name, count in Counter(models).items() if count > 1] == []


def subclasses(base: type) -> set[type]:
    return {base}.union(*(subclasses(each) for each in base.__subclasses__()))
