"""What was said, as a failure shows it."""

import pickle

from chanx_testing.core.trace.timeline import timeline_of_test
from chanx_testing.core.trace.transcript import MAX_ENTRIES, Transcript


def test_rendering_names_the_connection_and_the_order():
    transcript = Transcript("/ws/chat/")
    transcript.user, transcript.consumer = "alice", "ChatConsumer"
    transcript.add("→", {"type": "websocket.connect"})
    transcript.add("←", {"type": "websocket.accept"})
    transcript.add("·", "application ended")
    head, *lines, last = transcript.render(["application: ended"]).splitlines()
    assert head.startswith(f"{transcript.name} /ws/chat/ · user alice · ChatConsumer")
    assert [line.split()[1] for line in lines] == ["→", "←", "·"]
    assert last.strip() == "application: ended"


def test_only_the_latest_events_are_kept():
    transcript = Transcript("/")
    for number in range(MAX_ENTRIES + 5):
        transcript.add("·", f"event {number}")
    assert "5 earlier events" in transcript.render()
    assert "event 4\n" not in transcript.render()


def test_another_of_the_same_name_is_added_too():
    """Connections of several tests may have the same number."""
    error = ValueError("no")
    for _ in range(2):
        with timeline_of_test():
            transcript = Transcript("/")
            transcript.add_to(error)
            assert transcript.name == "ws#1"
    assert len(error.__notes__) == 2


def test_a_later_test_gives_it_a_number_of_its_own():
    with timeline_of_test():
        older, _ = Transcript("/"), Transcript("/").name
        assert older.name == "ws#2"
    with timeline_of_test():
        newer = Transcript("/")
        assert (newer.name, older.name, newer.name) == ("ws#1", "ws#2", "ws#1")


def test_is_added_to_an_error_once_and_travels_with_it():
    transcript, error = Transcript("/"), ValueError("no")
    for _ in range(2):
        transcript.add_to(error)
    assert len(error.__notes__) == 1
    assert pickle.loads(pickle.dumps(error)).__notes__ == error.__notes__
