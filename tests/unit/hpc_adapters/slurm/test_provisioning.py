"""What is wanted against what is there: repaired once, never beyond what is ours, and no mass removal by mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc_adapters.slurm.models import Account, Association, Qos, Records, Unreadable, User
from hpc_adapters.slurm.provisioning.model import GPU, NO_DECAY, Actual, Change, Doubt, Plan, Step, Strange, Wanted
from hpc_adapters.slurm.provisioning.planning import FEW, plan

ROOT = "kyoyo-hpc"
MARK = f"kyoyo:{ROOT}"
SITE = Actual(
    accounts=Records((Account(name="root"), Account(name="lab", description="lab", organization="site"))),
    users=Records((User(name="root", admin_level="Administrator"), User(name="alice"))),
    associations=Records(
        (
            Association(account="root", cluster="c"),
            Association(account="root", user="root", cluster="c"),
            Association(account="lab", cluster="c", parent="root"),
            Association(account="lab", user="alice", cluster="c"),
            Association(account="lab", user="alice", cluster="elsewhere"),
        )
    ),
    qos=Records((Qos(name="normal"), Qos(name="high", preempts=("normal",)))),
)


def wanted(**changed: object) -> Wanted:
    whole = {"cluster": "c", "root": ROOT, "gpu_minutes": {"a": 60, "b": 0}, "members": {"a1": "a", "b1": "b"}}
    return Wanted(**{**whole, **changed})  # type: ignore[arg-type]


def made(actual: Actual, changes: tuple[Change, ...], of: Wanted) -> Actual:
    """Slurmdbd in memory: what the calls do, including that an unknown QOS is silently no user."""
    accounts = {each.name: each for each in actual.accounts.items}
    users = {each.name: each for each in actual.users.items}
    places = {(each.cluster, each.account, each.user): each for each in actual.associations.items}
    qos = {each.name: each for each in actual.qos.items}
    for each in changes:
        key, name = (of.cluster, each.account, each.user), of.qos_of(each.account)
        match each.step:
            case Step.ADD_ACCOUNT:
                assert (of.cluster, each.parent, "") in places, "a parent comes first"
                accounts.setdefault(each.account, Account(name=each.account, description=of.mark))
                places[key] = Association(account=each.account, cluster=of.cluster, parent=each.parent)
            case Step.PUT_QOS:
                assert each.qos is not None
                qos[name] = each.qos
            case Step.ADD_USER | Step.SET_USER_QOS:
                assert name in qos, "a QOS comes before its users"
                users.setdefault(each.user, User(name=each.user))
                place = Association(account=each.account, user=each.user, cluster=of.cluster)
                places[key] = replace(place, qos=(name,), default_qos=name)
            case Step.REMOVE_USER:
                del places[key]
    return Actual(
        accounts=Records(tuple(accounts.values())),
        users=Records(tuple(users.values())),
        associations=Records(tuple(places.values())),
        qos=Records(tuple(qos.values())),
    )


def settled(of: Wanted, actual: Actual = SITE) -> Actual:
    return made(actual, plan(of, actual).changes, of)


def steps(found: Plan) -> list[tuple[str, str, str]]:
    return [(each.step.value, each.account, each.user) for each in found.changes]


def kinds(found: Plan) -> set[Strange]:
    return {each.kind for each in found.findings}


def test_an_empty_site_gets_everything_in_its_order() -> None:
    assert steps(plan(wanted(), SITE)) == [
        ("add-account", ROOT, ""),
        ("add-account", "a", ""),
        ("add-account", "b", ""),
        ("put-qos", "a", ""),
        ("put-qos", "b", ""),
        ("add-user", "a", "a1"),
        ("add-user", "b", "b1"),
    ]


def test_a_settled_site_is_left_alone() -> None:
    assert plan(wanted(), settled(wanted())) == Plan()


def test_a_limit_is_renewed_and_keeps_the_flags_that_the_site_added() -> None:
    there = settled(wanted())
    qos = tuple(
        replace(each, flags=("DENY_LIMIT",), group_tres_minutes={GPU: 60}) if each.name == "ky-a" else each
        for each in there.qos.items
    )
    found = plan(wanted(gpu_minutes={"a": 60, "b": 5}), replace(there, qos=Records(qos)))
    assert steps(found) == [("put-qos", "a", ""), ("put-qos", "b", "")]
    assert found.changes[0].qos is not None
    assert found.changes[0].qos.flags == ("DENY_LIMIT", NO_DECAY)
    assert found.changes[0].qos.description == MARK


def test_a_member_without_the_qos_gets_it() -> None:
    there = settled(wanted())
    bare = tuple(replace(each, qos=("normal",), default_qos="") for each in there.associations.items if each.user)
    nodes = tuple(each for each in there.associations.items if not each.user)
    found = plan(wanted(), replace(there, associations=Records(nodes + bare)))
    assert steps(found) == [("set-user-qos", "a", "a1"), ("set-user-qos", "b", "b1")]


def test_who_has_left_is_removed_and_a_stranger_is_only_told() -> None:
    there = settled(wanted(members={"a1": "a", "a2": "a", "x": "b"}))
    found = plan(wanted(members={"a1": "a"}, departed={"a2": "a"}), there)
    assert steps(found) == [("remove-user", "a", "a2")]
    assert [(each.kind, each.name, each.detail) for each in found.findings] == [(Strange.USER_UNKNOWN, "x", "b")]


@pytest.mark.parametrize("name", ["a", ROOT])
def test_a_foreign_account_in_the_way_is_told_and_nothing_is_built_on_it(name: str) -> None:
    foreign = Account(name=name, description="somebody's", organization="site")
    there = replace(SITE, accounts=Records((*SITE.accounts.items, foreign)))
    found = plan(wanted(), there)
    assert Strange.ACCOUNT_IN_THE_WAY in kinds(found)
    assert not any(name in (each.account, ROOT) for each in found.changes)


def test_a_foreign_qos_in_the_way_keeps_its_users_out() -> None:
    there = replace(SITE, qos=Records((*SITE.qos.items, Qos(name="ky-a", description="somebody's"))))
    found = plan(wanted(), there)
    assert Strange.QOS_IN_THE_WAY in kinds(found)
    assert ("put-qos", "a", "") not in steps(found)
    assert ("add-user", "a", "a1") not in steps(found)


def test_nobody_who_may_administer_slurm_becomes_a_member() -> None:
    there = replace(SITE, users=Records((*SITE.users.items, User(name="a1", admin_level="Operator"))))
    found = plan(wanted(), there)
    assert Strange.USER_PRIVILEGED in kinds(found)
    assert ("add-user", "a", "a1") not in steps(found)


def test_what_the_site_has_to_do_itself_is_told_as_its_command() -> None:
    found = plan(wanted(preempted_by=("high",)), settled(wanted()))
    assert found.changes == ()
    assert "sacctmgr modify qos high set preempt+=ky-a" in {each.detail for each in found.findings}


def test_an_account_of_another_installation_is_not_ours() -> None:
    other = replace(wanted(), root="kyoyo-staging", gpu_minutes={"s": 1}, members={"s1": "s"})
    there = settled(wanted(), settled(other))
    found = plan(replace(other, gpu_minutes={"s": 1, "a": 9}, departed={"a1": "a"}), there)
    assert found.changes == ()
    assert kinds(found) == {Strange.ACCOUNT_IN_THE_WAY, Strange.QOS_IN_THE_WAY}


# --- no mass removal by mistake ---------------------------------------------------------------------------------------

MANY = {f"m{number}": "a" for number in range(30)}


def departing(count: int) -> tuple[Wanted, Actual]:
    there = settled(wanted(members=MANY))
    gone = dict(list(MANY.items())[:count])
    return wanted(members={user: at for user, at in MANY.items() if user not in gone}, departed=gone), there


@pytest.mark.parametrize(("count", "doubt"), [(1, None), (FEW, None), (FEW + 1, None), (7, Doubt.TOO_MANY)])
def test_more_than_a_few_and_more_than_a_share_is_withheld(count: int, doubt: Doubt | None) -> None:
    found = plan(*departing(count))
    assert found.doubt is doubt
    assert len(found.withheld) == (count if doubt else 0)
    assert len(found.changes) == (0 if doubt else count)


def test_it_is_done_when_the_very_number_is_named() -> None:
    assert len(plan(*departing(20), remove=20).changes) == 20
    assert plan(*departing(20), remove=19).doubt is Doubt.TOO_MANY
    assert plan(*departing(20), remove=21).doubt is Doubt.TOO_MANY


def test_an_empty_house_removes_nobody() -> None:
    there = settled(wanted(members={"a1": "a"}))
    found = plan(wanted(members={}, departed={"a1": "a"}), there)
    assert (found.changes, found.doubt) == ((), Doubt.NOBODY_WANTED)


def test_an_incomplete_view_removes_nobody_whatever_is_said() -> None:
    of, there = departing(1)
    torn = replace(there, qos=Records(there.qos.items, (Unreadable("no-name"),)))
    found = plan(of, torn, remove=1)
    assert (found.changes, found.doubt) == ((), Doubt.VIEW_INCOMPLETE)
    assert Strange.UNREADABLE in kinds(found)


# --- whatever is there ------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "lab", "root", ROOT])
USERS = st.sampled_from(["u1", "u2", "u3", "u4", "alice", "root"])
DESCRIPTIONS = st.sampled_from([MARK, "kyoyo:kyoyo-staging", "site", ""])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Wanted, Actual]:
    members = draw(st.dictionaries(USERS, NAMES, max_size=4))
    departed = {user: at for user, at in draw(st.dictionaries(USERS, NAMES, max_size=4)).items() if user not in members}
    of = wanted(
        gpu_minutes=draw(st.dictionaries(NAMES, st.integers(0, 9), max_size=4)), members=members, departed=departed
    )
    accounts = draw(st.dictionaries(NAMES, DESCRIPTIONS, max_size=5))
    anywhere = st.tuples(st.sampled_from(["c", "d"]), NAMES, st.one_of(st.just(""), USERS))
    places = {place for place in draw(st.sets(anywhere, max_size=8)) if place[1] in accounts}  # as Slurm has it
    qos = draw(st.dictionaries(st.sampled_from(["ky-a", "ky-b", "ky-lab", "normal"]), DESCRIPTIONS, max_size=4))
    levels = st.sampled_from(["None", "Operator", "Administrator"])
    users = draw(st.dictionaries(USERS, levels, max_size=4))
    actual = Actual(
        accounts=Records((*(Account(name=name, description=told) for name, told in accounts.items()),)),
        users=Records(tuple(User(name=name, admin_level=level) for name, level in users.items())),
        associations=Records(
            (
                Association(account="root", cluster="c"),
                *(
                    Association(account=at, user=user, cluster=on)
                    for on, at, user in places
                    if (at, user) != ("root", "")
                ),
            )
        ),
        qos=Records(tuple(Qos(name=name, description=told) for name, told in qos.items())),
    )
    return of, actual


@given(worlds())
def test_done_once_nothing_is_left_to_do(world: tuple[Wanted, Actual]) -> None:
    of, actual = world
    first = plan(of, actual)
    after = plan(of, made(actual, first.changes, of))
    assert after.changes == ()
    assert after.withheld == first.withheld


@given(worlds(), st.integers(0, 20))
def test_cut_off_anywhere_the_next_run_heals_it(world: tuple[Wanted, Actual], at: int) -> None:
    of, actual = world
    whole = made(actual, plan(of, actual).changes, of)
    torn = made(actual, plan(of, actual).changes[:at], of)
    healed = made(torn, plan(of, torn).changes, of)
    assert set(healed.associations.items) == set(whole.associations.items)
    assert {each.name: each for each in healed.qos.items} == {each.name: each for each in whole.qos.items}


@given(worlds())
def test_nothing_of_anybody_else_is_touched(world: tuple[Wanted, Actual]) -> None:
    of, actual = world
    after = made(actual, plan(of, actual).changes, of)
    ours = {each.name for each in actual.accounts.items if each.description == MARK}
    for each in actual.accounts.items:
        assert each in after.accounts.items
    for qos in actual.qos.items:
        assert qos in after.qos.items or qos.description == MARK
    for place in actual.associations.items:
        assert place in after.associations.items or (place.cluster == "c" and place.account in ours)
        if place.user and place.user not in of.members and place.user not in of.departed:
            assert place in after.associations.items
