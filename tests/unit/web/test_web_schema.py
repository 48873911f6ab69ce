"""The interface for programs answers whatever its schema allows, and refuses the rest properly.

The long form by hand: raise `EXAMPLES`, or `schemathesis run` against a served node with a token.
"""

import os

import pytest
from web_builder import prepare, web_node

from dicom_node.users.role import UserRole

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")

EXAMPLES = int(os.environ.get("ICHNODE_SCHEMA_EXAMPLES", "6"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return a node, a token of an admin and its schema."""
    folder = tmp_path_factory.mktemp("schema")
    prepare(folder)
    with web_node(folder) as node:
        header = node.token(UserRole.ADMIN)
        document = node.client().get("/api/v1/openapi.json", headers=header).json()
        yield node, header, document


def operations(document):
    return [
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if path.startswith("/api/v1/")
    ]


def test_whatever_the_schema_allows_is_answered(served):
    """No answer is an error of the server, and each is JSON as the schema says."""
    node, header, document = served
    schema = schemathesis.openapi.from_dict(document)
    schema.app = node.pages.app
    seen = []
    for method, path in operations(document):
        operation = schema[path][method]

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def check(case):
            client = node.client()
            answer = client.request(
                case.method,
                case.formatted_path,
                params=case.query or None,
                json=case.body if isinstance(case.body, dict) else None,
                headers=header,
            )
            seen.append(answer.status_code)
            assert answer.status_code < 500, (case.method, case.formatted_path, answer.text[:200])
            assert answer.headers["content-type"].startswith("application/json")

        check()

    assert len(seen) >= len(operations(document))
    assert {200, 404} <= set(seen)
