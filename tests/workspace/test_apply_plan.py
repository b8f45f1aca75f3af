"""The plan of `moat apply`: three states of each path, and what becomes of it."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moat.workspace.apply_plan import Plan, Seen, Step, Verdict, leads_out, make_plan
from moat.workspace.changes import Change, Side

FILE = Side(stat.S_IFREG | 0o644, 1, "00")
OTHER = Side(stat.S_IFREG | 0o644, 1, "11")
FOLDER = Side(stat.S_IFDIR | 0o755, 0)
PRIVATE = Side(stat.S_IFDIR | 0o700, 0)
LINK = Side(stat.S_IFLNK | 0o777, 1, target="x")
FIFO = Side(stat.S_IFIFO | 0o644, 0)

UNTOUCHED = Seen(exists=True, is_before=True)
CHANGED = Seen(exists=True)
EQUAL = Seen(exists=True, is_after=True)
NOTHING = Seen()


def verdict(change: Change, seen: Seen, held: str = "", *, force: bool = False) -> Step:
    (step,) = make_plan([change], lambda _: seen, lambda _: held, force=force).steps
    return step


EDITED = Change("a", FILE, OTHER)
MADE = Change("a", None, FILE)
REMOVED = Change("a", FILE, None)


@pytest.mark.parametrize(
    ("change", "seen", "expected"),
    [
        (EDITED, UNTOUCHED, Verdict.APPLY),
        (EDITED, EQUAL, Verdict.DONE),
        (EDITED, CHANGED, Verdict.CONFLICT),
        (EDITED, NOTHING, Verdict.CONFLICT),
        (MADE, Seen(is_before=True), Verdict.APPLY),
        (MADE, CHANGED, Verdict.CONFLICT),
        (REMOVED, UNTOUCHED, Verdict.APPLY),
        (REMOVED, Seen(is_after=True), Verdict.DONE),
        (REMOVED, CHANGED, Verdict.CONFLICT),
        (EDITED, Seen(exists=True, blocked="no"), Verdict.CONFLICT),
        (EDITED, Seen(lost="no"), Verdict.HELD),
        (Change("a", None, FIFO), Seen(is_before=True), Verdict.HELD),
        (Change("a", None, Side(LINK.mode, 1)), Seen(is_before=True), Verdict.HELD),
    ],
)
def test_three_states_decide(change: Change, seen: Seen, expected: Verdict) -> None:
    """What nobody has touched since is replaced; what somebody has, is a conflict."""
    assert verdict(change, seen).verdict is expected


def test_a_conflict_says_what_has_happened_there() -> None:
    """Somebody who reads it knows which of the two files to look at."""
    assert "changed" in verdict(EDITED, CHANGED).reason
    assert "removed" in verdict(EDITED, NOTHING).reason
    assert "another" in verdict(MADE, CHANGED).reason


@pytest.mark.parametrize("change", [EDITED, MADE, REMOVED])
def test_force_overcomes_a_conflict_and_nothing_else(change: Change) -> None:
    """It replaces files, and doesn't make possible what isn't, nor give consent."""
    assert verdict(change, CHANGED, force=True).verdict is Verdict.APPLY
    blocked = Seen(exists=True, blocked="a link")
    assert verdict(change, blocked, force=True).verdict is Verdict.CONFLICT
    assert verdict(change, CHANGED, "direnv", force=True).verdict is Verdict.HELD
    assert verdict(change, Seen(lost="gone"), force=True).verdict is Verdict.HELD


def test_what_is_held_is_no_conflict() -> None:
    """The rest of the changes is applied, whatever became of the file that isn't."""
    step = verdict(EDITED, CHANGED, "direnv runs it")
    assert (step.verdict, step.reason) == (Verdict.HELD, "direnv runs it")
    assert verdict(EDITED, EQUAL, "direnv runs it").verdict is Verdict.DONE


def test_a_folder_stays_while_something_in_it_is_held() -> None:
    """A file that would take its place waits, too."""
    changes = [Change("d", FOLDER, FILE), Change("d/held", FILE, None), Change("d/x", FILE, None)]
    plan = make_plan(
        changes, lambda _: UNTOUCHED, lambda each: "no" if "held" in each.path else "", force=False
    )
    assert [each.change.path for each in plan.having(Verdict.HELD)] == ["d", "d/held"]
    assert [each.path for each in plan.in_order()] == ["d/x"]


names = st.sampled_from("abc")
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
sides = st.sampled_from([None, FILE, OTHER, FOLDER, PRIVATE, LINK])
changes_lists = st.lists(
    st.tuples(paths, sides, sides).filter(lambda each: each[1] != each[2]),
    unique_by=lambda each: each[0],
    max_size=12,
).map(lambda listed: [Change(*each) for each in listed])


def test_a_held_path_is_named_so_that_no_terminal_obeys_it() -> None:
    """It may be a run's or a stranger's."""
    inner = Change("a/\033[2J/.envrc", FILE, None)
    plan = make_plan(
        [Change("a", FOLDER, FILE), inner],
        lambda _: UNTOUCHED,
        lambda change: "obeyed" if change == inner else "",
        force=False,
    )
    assert plan.steps[0].verdict is Verdict.HELD
    assert plan.steps[0].reason.isprintable()


def test_a_folder_becomes_writable_before_something_is_put_into_it() -> None:
    """And another one read-only afterwards."""
    closed = Side(stat.S_IFDIR | 0o555, 0)
    changes = [
        Change("a", closed, FOLDER),
        Change("a/new", None, FILE),
        Change("a/old", FILE, None),
        Change("b", FOLDER, closed),
        Change("b/new", None, FILE),
    ]
    plan = make_plan(changes, lambda _: UNTOUCHED, lambda _: "", force=False)
    assert [each.path for each in plan.in_order()] == ["a", "a/old", "a/new", "b/new", "b"]


@given(changes=changes_lists)
def test_nothing_is_in_the_way_of_what_comes_after_it(changes: list[Change]) -> None:
    """Removals begin inside, what is put begins outside, and permissions of folders come last."""
    plan = make_plan(changes, lambda _: UNTOUCHED, lambda _: "", force=False)
    order = plan.in_order()
    assert sorted(map(repr, order)) == sorted(
        repr(step.change) for step in plan.having(Verdict.APPLY)
    )
    place = {each.path: number for number, each in enumerate(order)}
    for inner in order:
        for outer in order:
            if not inner.path.startswith(f"{outer.path}/"):
                continue
            if inner.after is None or (outer.before, outer.after) in {
                (FOLDER, PRIVATE),
                (PRIVATE, FOLDER),
            }:
                first, second = inner, outer
            elif outer.after is not None:
                first, second = outer, inner
            else:
                continue  # it can't be in a folder that is gone
            assert place[first.path] < place[second.path]


@given(changes=changes_lists, conflicting=paths)
def test_each_change_is_decided_once(changes: list[Change], conflicting: str) -> None:
    """Verdicts of others don't depend on a conflict."""

    def look(change: Change) -> Seen:
        return CHANGED if change.path == conflicting else UNTOUCHED

    plan = make_plan(changes, look, lambda _: "", force=False)
    assert {each.change.path for each in plan.steps} == {each.path for each in changes}
    assert all(each.change.path == conflicting for each in plan.having(Verdict.CONFLICT))
    assert isinstance(plan, Plan)


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("link", "file", False),
        ("link", "..", True),
        ("a/link", "..", False),
        ("a/link", "../b/../c", False),
        ("a/link", "../../b", True),
        ("a/b/link", "./..//../..", True),
        ("a/link", "/etc/passwd", True),
        ("link", "a/../../b", True),
        ("link", "", False),
    ],
)
def test_a_link_that_leads_out_is_known(path: str, target: str, expected: bool) -> None:
    """By the names alone, as somebody reads them."""
    assert leads_out(path, target) is expected
