"""Who gets a message to a group, as far as that is known."""

from chanx_testing.core.layers.groups import Group


def with_member(channel="a"):
    group = Group()
    group.begin_change(channel)
    group.end_change(channel, True)
    return group


def test_who_has_joined_gets_it():
    with with_member().broadcast() as (sure, unsure):
        assert (sure, unsure) == ({"a"}, set())


def test_who_has_left_does_not():
    group = with_member()
    group.begin_change("a")
    group.end_change("a", False)
    with group.broadcast() as (sure, unsure):
        assert (sure, unsure) == (set(), set())


def test_who_is_about_to_join_or_to_leave_may_get_it():
    group = with_member()
    group.begin_change("a")
    group.begin_change("b")
    with group.broadcast() as (sure, unsure):
        assert (sure, unsure) == (set(), {"a", "b"})


def test_who_joins_or_leaves_meanwhile_may_get_it():
    group = with_member()
    with group.broadcast() as (sure, unsure):
        group.begin_change("a")
        group.end_change("a", False)
        group.begin_change("b")
        group.end_change("b", True)
        assert (sure, unsure) == ({"a"}, {"a", "b"})
    with group.broadcast() as (sure, unsure):
        assert (sure, unsure) == ({"b"}, set())


def test_of_each_of_two_broadcasts_it_is_known_who_may_get_it():
    group = with_member()
    with group.broadcast() as (_, first):
        group.begin_change("b")
        group.end_change("b", True)
        with group.broadcast() as (sure, second):
            group.begin_change("c")
            assert (sure, second) == ({"a", "b"}, {"c"})
        assert first == {"b", "c"}


def test_a_change_that_was_broken_off_may_have_been_made():
    group = with_member()
    group.begin_change("a")
    group.end_change("a", None)
    with group.broadcast() as (sure, unsure):
        assert (sure, unsure) == (set(), {"a"})


def test_two_changes_at_once_may_have_come_in_either_order():
    group = Group()
    group.begin_change("a")
    group.begin_change("a")
    group.end_change("a", True)
    group.end_change("a", False)
    with group.broadcast() as (sure, unsure):
        assert (sure, unsure) == (set(), {"a"})
    # The next one tells.
    group.begin_change("a")
    group.end_change("a", True)
    with group.broadcast() as (sure, unsure):
        assert (sure, unsure) == ({"a"}, set())
