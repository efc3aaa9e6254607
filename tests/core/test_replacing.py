"""An attribute is replaced while anybody holds it, and the identical object is back."""

import gc
import threading
import weakref
from contextlib import ExitStack
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chanx_testing.core.replacing import replaced


def adding(text):
    """Make a function that adds ``text`` to what the original returns."""

    def make(replacement):
        def call():
            under = replacement.original()()
            return f"{under}{text}" if replacement.active else under

        return call

    return make


@pytest.fixture
def owner():
    return SimpleNamespace(call=lambda: "original")


class TestOneHolder:
    def test_the_identical_object_is_back(self, owner):
        before = owner.call
        with replaced(owner, "call", "a", adding("+a")) as replacement:
            assert owner.call is replacement.value
            assert owner.call() == "original+a"
        assert owner.call is before

    def test_it_is_back_after_an_error(self, owner):
        before = owner.call
        with pytest.raises(LookupError), replaced(owner, "call", "a", adding("+a")):
            raise LookupError
        assert owner.call is before

    def test_an_attribute_that_is_not_there_is_an_error(self, owner):
        with (
            pytest.raises(AttributeError, match="'nonsense'"),
            replaced(owner, "nonsense", "a", adding("+a")),
        ):
            raise AssertionError("not reached")
        assert not hasattr(owner, "nonsense")

    def test_what_was_fetched_meanwhile_passes_calls_through_afterwards(self, owner):
        with replaced(owner, "call", "a", adding("+a")):
            fetched = owner.call
        assert fetched() == "original"


class TestManyHolders:
    def test_those_of_one_purpose_share_a_replacement(self, owner):
        with (
            replaced(owner, "call", "a", adding("+a")) as first,
            replaced(owner, "call", "a", adding("+never made")) as second,
        ):
            assert first is second
            assert owner.call() == "original+a"

    def test_those_of_two_purposes_lie_on_each_other(self, owner):
        with (
            replaced(owner, "call", "a", adding("+a")),
            replaced(owner, "call", "b", adding("+b")),
        ):
            assert owner.call() == "original+a+b"

    def test_the_lower_one_is_taken_out_from_under_the_upper_one(self, owner):
        before, lower = owner.call, ExitStack()
        lower.enter_context(replaced(owner, "call", "a", adding("+a")))
        with replaced(owner, "call", "b", adding("+b")):
            lower.close()
            assert owner.call() == "original+b"
        assert owner.call is before

    @given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=30))
    def test_any_order_of_taking_hold_and_letting_go(self, steps):
        owner = SimpleNamespace(call=lambda: "")
        before = owner.call
        holders: list[tuple[str, ExitStack]] = []
        for takes_hold, purpose in steps:
            if takes_hold:
                stack = ExitStack()
                stack.enter_context(replaced(owner, "call", purpose, adding(purpose)))
                holders.append((purpose, stack))
            else:
                mine = [holder for holder in holders if holder[0] == purpose]
                for holder in mine[:1]:
                    holder[1].close()
                    holders.remove(holder)
            # Each purpose acts once, however many hold it.
            assert sorted(owner.call()) == sorted({name for name, _ in holders})
        for _, stack in holders:
            stack.close()
        assert owner.call is before

    def test_many_threads(self, owner):
        before = owner.call
        seen = []

        def work():
            for _ in range(200):
                with replaced(owner, "call", "a", adding("+a")):
                    seen.append(owner.call())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) == {"original+a"}
        assert owner.call is before


class TestSomebodyElse:
    """Another tool puts its own object in the place meanwhile."""

    def test_what_is_on_top_stays(self, owner):
        def theirs():
            return "theirs"

        with replaced(owner, "call", "a", adding("+a")):
            owner.call = theirs
        assert owner.call is theirs

    def test_a_call_through_them_reaches_the_original(self, owner):
        with replaced(owner, "call", "a", adding("+a")):
            ours = owner.call
            owner.call = lambda: f"theirs({ours()})"
            assert owner.call() == "theirs(original+a)"
        assert owner.call() == "theirs(original)"

    def test_the_next_holder_takes_up_what_they_put_back(self, owner):
        before = owner.call
        with replaced(owner, "call", "a", adding("+a")):
            patch = mock.patch.object(owner, "call")
            patch.start()
        patch.stop()
        assert owner.call() == "original"
        with replaced(owner, "call", "a", adding("+b")):
            assert owner.call() == "original+a"
        assert owner.call is before

    def test_one_that_stays_on_top_of_ours_is_not_called_by_what_it_calls(self, owner):
        """As an instrumentation does that is switched on inside a test, and stays."""
        with replaced(owner, "call", "a", adding("+a")):
            ours = owner.call
            owner.call = lambda: f"theirs({ours()})"
        theirs = owner.call
        with replaced(owner, "call", "a", adding("+b")):
            assert owner.call() == "theirs(original)+b"
        assert owner.call is theirs
        assert owner.call() == "theirs(original)"

    def test_one_that_was_there_first_is_back(self, owner):
        before = owner.call
        with mock.patch.object(owner, "call") as theirs:
            with replaced(owner, "call", "a", adding("+a")):
                owner.call()
            theirs.assert_called_once_with()
            assert owner.call is theirs
        assert owner.call is before


class Base:
    def name(self):
        return f"{type(self).__name__} by Base"

    @classmethod
    def title(cls):
        return f"{cls.__name__} by Base"


def shouting(replacement):
    def name(self):
        return replacement.original(self)().upper()

    return name


def shouting_title(replacement):
    def title(cls):
        return replacement.original(None, cls)().upper()

    return classmethod(title)


class TestClasses:
    def test_a_method_is_bound_to_its_instance(self):
        before = vars(Base)["name"]
        with replaced(Base, "name", "shout", shouting):
            assert Base().name() == "BASE BY BASE"
        assert vars(Base)["name"] is before

    def test_a_class_method_is_bound_to_the_class_that_was_asked(self):
        class Child(Base):
            pass

        before = vars(Base)["title"]
        with replaced(Base, "title", "shout", shouting_title):
            assert Child.title() == "CHILD BY BASE"
        assert vars(Base)["title"] is before

    def test_an_inherited_method_is_inherited_again(self):
        class Child(Base):
            pass

        with replaced(Child, "name", "shout", shouting):
            assert Child().name() == "CHILD BY BASE"
            assert Base().name() == "Base by Base"
        assert "name" not in vars(Child)

    def test_an_owner_is_gone_afterwards_without_a_garbage_collection(self):
        def make(replacement):
            return lambda: replacement.original()().upper()

        gc.collect()
        gc.disable()
        try:
            child = Base()
            with replaced(child, "name", "shout", make):
                assert child.name() == "BASE BY BASE"
            gone = weakref.ref(child)
            del child
            assert gone() is None
        finally:
            gc.enable()

    def test_an_inherited_method_of_an_instance_is_inherited_again(self):
        child = Base()

        def make(replacement):
            return lambda: replacement.original()().upper()

        with replaced(child, "name", "shout", make):
            assert child.name() == "BASE BY BASE"
        assert vars(child) == {}
