"""A property that a subclass may shadow, by an attribute of the class or an object."""

from chanx_testing.core.client.overridable import overridable_property


class Base:
    @overridable_property
    def closed(self):
        """Whether it is."""
        return "computed"


def test_it_is_computed():
    assert Base().closed == "computed"


def test_an_attribute_of_the_object_takes_its_place():
    base = Base()
    base.closed = True
    assert base.closed is True
    assert Base().closed == "computed"


def test_an_attribute_of_a_subclass_takes_its_place():
    class Child(Base):
        closed = "own"

    assert Child().closed == "own"


def test_the_class_has_the_property_itself_with_its_text():
    assert Base.closed is vars(Base)["closed"]
    assert Base.closed.__doc__ == "Whether it is."
