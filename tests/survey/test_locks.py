"""Lock files: their package manager, and the hosts that they name."""

from __future__ import annotations

import pytest

from moat.survey.locks import lock

NPM = '{"resolved": "https://npm.example/a.tgz",\n"resolved": "https://npm.example/b"}'
UV = 'source = { registry = "https://index.example/x" }\n{ url = "https://files.example/a" }'
NPMRC = "@team:registry=https://User:Secret@npm.example:8443/x\n//npm.example/:_authToken=s"


@pytest.mark.parametrize(
    ("source", "text", "hosts"),
    [
        ("npm", NPM, ["npm.example"]),
        ("npm", '{"resolved": "git+ssh://git@code.example/a.git"}', []),
        ("yarn", 'a@1:\n  resolved "https://yarn.example/a#1"\n', ["yarn.example"]),
        ("uv", UV, ["index.example", "files.example"]),
        ("pipenv", '{"sources": [{"url": "https://index.example/x"}]}', ["index.example"]),
        ("gem", "GEM\n  remote: https://gems.example/\n", ["gems.example"]),
        ("cargo", 'source = "sparse+https://crates.example/index/"', ["crates.example"]),
        ("cargo", 'source = "registry+https://code.example/index"', []),
        ("composer", '{"dist": {"url": "https://php.example/zip"}}', ["php.example"]),
        ("npmrc", NPMRC, ["npm.example:8443"]),
        ("npmrc", f"registry=https://{'a.b' * 400}:s@npm.example/", ["npm.example"]),
        ("yarnrc", 'npmRegistryServer: "https://yarn.example"\n', ["yarn.example"]),
        ("pip", "--extra-index-url https://index.example/x\nrequests\n", ["index.example"]),
        ("pip", "[global]\nindex-url = https://index.example/x\n", ["index.example"]),
    ],
)
def test_hosts_of_a_format(source: str, text: str, hosts: list[str]) -> None:
    """Each host once, without what is secret in an address."""
    findings = list(lock(source, "node")(text))
    assert [each.name for each in findings if each.kind == "host"] == hosts
    assert [each.name for each in findings if each.kind == "dependency"] == ["node"]
