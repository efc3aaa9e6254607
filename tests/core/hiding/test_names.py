"""What the project adds counts in every writing, and is the project's business."""

from chanx_testing.core.hiding.names import certainly_names_a_secret, names_a_secret


def test_a_word_that_is_ordinary_counts_as_the_whole_name_alone():
    assert names_a_secret("key")
    assert names_a_secret("Refresh")
    assert not names_a_secret("key_point")
    assert not names_a_secret("last_refresh")


def test_only_what_is_no_ordinary_word_counts_in_prose():
    assert certainly_names_a_secret("apiKey")
    assert not certainly_names_a_secret("key")


def test_what_is_said_of_a_secret_is_not_one():
    assert not names_a_secret("tokenExpiresAt")
    assert names_a_secret("token_expires_at_value")
