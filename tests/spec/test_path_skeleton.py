"""The skeletons of paths, and the paths that lead to what a rule denies on one server or another."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.egress.policy.decision import Verdict
from moat.egress.policy.engine import Policy
from moat.spec.network import Network
from moat.spec.path_skeleton import skeletons
from moat.spec.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = ("deny a.test/files/**", "deny a.test/docs/*/keys", "allow a.test")


def _verdict(target: str, *rules: str) -> Verdict:
    policy = Policy(Network(policy="strict", rules=rules or RULES))
    return policy.decide("GET", "a.test", 443, target).verdict


@pytest.mark.parametrize(
    "target",
    [
        *("/files::$DATA", "/files:x", "/files:$I30:$INDEX_ALLOCATION/x", "/files%3A%3a%24DATA"),
        *("/files/:x", "/:x/files", "/files.::$DATA", "/files :x".replace(" ", "%20"), "/%20files"),
        *(
            "/files.",
            "/files%20",
            "/files...%20.",
            "/files+",
            "/files./x",
            "/FILES~1",
            "/FILES-~1.D/x",
        ),
        *("/fi%E2%80%8Bles", "/fi%C2%ADles", "/%E2%80%AEfiles", "/files%EF%B8%8F", "/fi%CD%8Fles"),
        *("/files%E3%85%A4", "/fil%F3%A0%80%81es", "/%EF%BB%BFfiles", "/fi%C2%85les"),
        *("/%EF%BD%86iles", "/%EF%AC%81les", "/%EF%AC%81le%C5%BF", "/F%C4%B0LES", "/f%C4%B1les"),
        *(
            "/f%C3%ACles",
            "/fi%C5%82es",
            "/file%C3%9F".replace("%C3%9F", "%CF%83"),
            "/fi%E4%B8%ADles",
        ),
        *(
            "/files%00",
            "/files%09",
            "/fi%0Ales",
            "/files;x",
            "/files%3bx",
            "/x/..;/files",
            "/files\\x",
        ),
        *("/x%2f..%2ffiles", "/x%5c..%5cfiles", "/%66%69les", "/%2566iles", "/%u0066iles"),
        *(
            "/%C0%AFfiles",
            "/%C1%A6iles",
            "/%E0%81%A6iles",
            "/./files",
            "/x/../files",
            "/x//..//files",
        ),
        *(
            "//files",
            "//host/files",
            "//host//files",
            "/x/.%E2%80%8B./files",
            "/x/%E3%80%82./files",
        ),
        *("/x%E2%88%95files", "/%C2%A5files", "/files%3Ex", "/fil%3C", "/fil*", "/file%22"),
        *(
            "/docs/a/keys:x",
            "/docs/a:b/keys",
            "/docs/a:b/KEYS%20::$DATA",
            "/docs::$DATA/a/ke%C2%ADys",
        ),
    ],
)
def test_no_spelling_reaches_what_a_rule_denies(target: str) -> None:
    """Some server or other takes each of these for what the rules deny."""
    assert _verdict(target) is Verdict.DENY


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/",
            "/file",
            "/filesystem",
            "/x/files",
            "/files2::$DATA",
            "/a:b/c:d",
            "/%E4%B8%AD/files2",
        ),
        *(
            "/%E4%B8%AD%E6%96%87/files",
            "/caf%C3%A9/%C3%BC",
            "/a.b/c..d",
            "/c++/x",
            "/~user/x",
            "/a~b",
        ),
        *("/v1/models/m:generateContent", "/docs/a/key", "/a%20b/c", "/it's/(x)", "/a,b=c/@d!$&"),
        *(
            "/@scope%2Dx/-/y.tgz",
            "/x/%E3%83%95%E3%82%A1%E3%82%A4%E3%83%AB",
            "/files2/..x",
            "/.well-known/x",
        ),
    ],
)
def test_ordinary_paths_beside_it_pass(target: str) -> None:
    """A rule about some paths denies no others, in whatever script they are."""
    assert _verdict(target) is Verdict.ALLOW


@pytest.mark.parametrize(
    ("target", "rules", "verdict"),
    [
        # An earlier rule holds for what it allows, but not for what it only resembles.
        ("/files/pub/x:y", ("allow a.test/files/pub/**", *RULES), Verdict.ALLOW),
        ("/files/pub/%C3%A9", ("allow a.test/files/pub/**", *RULES), Verdict.ALLOW),
        ("/files/pub:x/y", ("allow a.test/files/pub/**", *RULES), Verdict.DENY),
        ("/fi%C2%ADles/x", ("allow a.test/Files/**", *RULES), Verdict.DENY),
        ("/files::$DATA.txt", ("allow a.test/*.txt", *RULES), Verdict.DENY),
        # Names of methods, as in the APIs of Google.
        ("/m/x:get", ("allow a.test/m/*:get", "deny a.test/m/**"), Verdict.ALLOW),
        ("/m/x:put", ("allow a.test/m/*:get", "deny a.test/m/**"), Verdict.DENY),
        ("/m/x:put", ("deny a.test/m/*:put", "allow a.test"), Verdict.DENY),
        ("/m:y/x:pu%C2%ADt", ("deny a.test/m/*:put", "allow a.test"), Verdict.DENY),
        ("/m/x:get", ("deny a.test/m/*:put", "allow a.test"), Verdict.ALLOW),
        # A rule in another script is compared in that script.
        ("/CAF%C3%89:x", ("deny a.test/caf\u00e9", "allow a.test"), Verdict.DENY),
        ("/caf%C3%A8", ("deny a.test/caf\u00e9", "allow a.test"), Verdict.ALLOW),
        ("/x%201.", ("deny a.test/x%201", "allow a.test"), Verdict.DENY),
        # Rules that only allow paths ask for no skeleton.
        ("/v1/FILES~1", ("allow a.test/v1/**",), Verdict.ALLOW),
        ("/v1/a:b/c:d/e:f/g:h", ("allow a.test/v1/**",), Verdict.ALLOW),
    ],
)
def test_skeletons_count_for_denials_alone(
    target: str, rules: tuple[str, ...], verdict: Verdict
) -> None:
    """Rules are asked in their order; what is allowed has to be spelt as its rule spells it."""
    assert _verdict(target, *rules) is verdict


def test_a_rule_with_a_method_denies_disguised_paths_of_that_method() -> None:
    """A rule about one method denies disguised paths for it alone."""
    policy = Policy(Network(rules=("deny POST a.test/files/**",)))
    assert policy.decide("POST", "a.test", 443, "/files:x").verdict is Verdict.DENY
    assert policy.decide("GET", "a.test", 443, "/files:x").verdict is Verdict.ALLOW


# --- mutations: what servers undo ---


def _at(mutate: Callable[[str, int], str]) -> Callable[[str, int], str]:
    """Apply a mutation at some place behind the first slash."""
    return lambda path, seed: mutate(path, 1 + seed % (len(path) - 1) if len(path) > 1 else 1)


def _inserted(text: str) -> Callable[[str, int], str]:
    return _at(lambda path, at: path[:at] + text + path[at:])


def _behind_name(text: str) -> Callable[[str, int], str]:
    def mutate(path: str, seed: int) -> str:
        names = path.split("/")
        at = seed % len(names)
        names[at] += text if names[at] else ""
        return "/".join(names)

    return mutate


def _replaced(old: str, new: str) -> Callable[[str, int], str]:
    return lambda path, _: path.replace(old, new, 1)


def _doubled_slash(path: str, seed: int) -> str:
    slashes = [at for at, each in enumerate(path) if each == "/"]
    at = slashes[seed % len(slashes)] if slashes else 0
    return path[:at] + "/" + path[at:]


IGNORED = "\u200b\u200d\u00ad\u2060\ufe0f\u202e\u034f\u180e\ufeff\U000e0041\u3164\u0085"
MUTATIONS: list[Callable[[str, int], str]] = [
    lambda path, seed: "".join(
        each.upper() if seed >> at % 16 & 1 else each for at, each in enumerate(path)
    ),
    *(_inserted(each) for each in IGNORED),
    *(_behind_name(each) for each in ("::$DATA", ":x", ":$I30:$INDEX_ALLOCATION")),
    *(_behind_name(each) for each in (".", " ", "..", ". .", "\u3000", "\xa0", "+")),
    *(_behind_name(each) for each in (";x=1", "\0", "\t", "\n")),
    *(_replaced(*each) for each in (("f", "\uff46"), ("i", "\u0131"), ("i", "\u0130"))),
    *(_replaced(*each) for each in (("fi", "\ufb01"), ("e", "\xe9"), ("e", "e\u0301"))),
    *(_replaced(*each) for each in (("s", "\u017f"), ("l", "\u0142"), ("s", "\u24e2"))),
    *(_replaced(*each) for each in (("/f", "/./f"), ("/f", "/x/../f"), ("/f", "\\f"))),
    *(_replaced(*each) for each in (("f", "%66"), ("f", "%c1%a6"), ("/", "%2f"), ("/", "\uff0f"))),
    _doubled_slash,
]
PATHS = ("/files", "/files/", "/files/secret", "/files/a/b")


@given(
    path=st.sampled_from(PATHS),
    mutations=st.lists(
        st.tuples(st.sampled_from(range(len(MUTATIONS))), st.integers(0, 1 << 20)), max_size=5
    ),
    safe=st.sampled_from(["/%", "/%:;$", "/%:;$+\\"]),
    query=st.sampled_from(["", "?x", "?/public"]),
)
def test_no_composition_of_spellings_reaches_what_a_rule_denies(
    path: str, mutations: list[tuple[int, int]], safe: str, query: str
) -> None:
    """Whatever mutations servers undo, in whatever order they were made, the request is denied."""
    for which, seed in mutations:
        path = MUTATIONS[which](path, seed)
    target = quote(path, safe=safe) + query
    if not target.startswith("/"):  # then it is no request target
        target = f"/{target}"
    assert _verdict(target) is Verdict.DENY, target


@given(st.text(max_size=40) | st.text("ab./: +~1*\u200b\xe9\uff0e", max_size=40))
def test_a_skeleton_has_no_structure_in_its_names(text: str) -> None:
    """Skeletons have neither empty segments nor dots for them, and a clear path has at least one."""
    found = skeletons(f"/{quote(text, safe='/:+')}")
    assert bool(found.paths) is found.clear
    for path in found.paths:
        assert path == "/" or not {"", ".", ".."} & set(path.split("/")[1:])


@given(st.text("abAB:.\u200b\xe9\uff41 /", min_size=1, max_size=12))
def test_a_rule_denies_its_own_path(text: str) -> None:
    """A rule's own path is denied by it, as it is spelt and in its skeletons."""
    path = "/" + quote(text, safe="/:")
    try:
        rule = Rule.parse(f"deny a.test{path}")
    except Exception as exc:  # noqa: BLE001  a path that rules can't have
        assert "understood" in str(exc)  # noqa: PT017
        return
    found = skeletons(path)
    if rule.path is not None and found.clear:
        assert any(map(rule.matches_skeleton, found.paths))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        "/",
        ".",
        ":",
        "/:",
        "/a:b",
        "+",
        "%20",
        "\xe9",
        "/\xe9",
        "~1",
        "*",
        "a",
        "/a",
        "\u0301",
        "\ufdfa",
    ],
)
def test_no_path_takes_long(piece: str) -> None:
    """A hostile program writes the path, and the supervisor does nothing else meanwhile."""
    encoded = quote(piece, safe="/:+*~%")
    _verdict("/" + encoded * (60_000 // len(encoded)) + "x")
