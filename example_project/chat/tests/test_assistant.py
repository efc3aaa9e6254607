"""A reply that streams: many messages, and one that ends it."""

from chanx_testing.channels.testing import WebsocketTestCase
from example_project.chat.consumers import AssistantConsumer
from example_project.chat.messages import AskMessage, Question
from example_project.chat.models import Room


class AssistantTests(WebsocketTestCase):
    ws_path = "/ws/assistant/"
    consumer = AssistantConsumer

    def get_ws_headers(self):
        self.alice, headers = self.create_user_and_ws_headers()
        return headers

    async def ask(self, question):
        await self.auth_communicator.connect()
        await self.auth_communicator.assert_authenticated_status_ok()
        await self.auth_communicator.send_message(
            AskMessage(payload=Question(question=question))
        )

    async def test_progress_comes_before_the_answer(self):
        await self.ask("Which rooms am I in?")

        # "answer" is an action of the assistant, and is kept as the last message.
        *progress, answer = await self.auth_communicator.receive_all_messages(
            stop_action="answer"
        )

        self.assertGreater(len(progress), 1)
        self.assertEqual({message.action for message in progress}, {"progress"})
        done = [message.payload.done for message in progress]
        self.assertEqual(done, list(range(1, len(progress) + 1)))
        self.assertEqual(answer.action, "answer")

    async def test_the_pieces_make_up_the_answer(self):
        await self.ask("What can you do?")

        *progress, answer = await self.auth_communicator.receive_all_messages(
            stop_action="answer"
        )

        pieces = [message.payload.text for message in progress]
        self.assertEqual(" ".join(pieces), answer.payload.text)

    async def test_the_assistant_knows_the_rooms_of_who_asks(self):
        lobby = await Room.objects.acreate(name="Lobby")
        await lobby.members.aadd(self.alice)
        await Room.objects.acreate(name="Kitchen")

        await self.ask("Which rooms am I in?")

        messages = await self.auth_communicator.receive_all_messages()
        self.assertEqual(messages[-1].payload.text, "You are in 1 room: Lobby.")

    async def test_a_stranger_is_not_answered(self):
        await self.communicator.connect()

        await self.communicator.assert_closed(4401)
