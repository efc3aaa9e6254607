"""What the assistant answers. It is a script, and needs no network."""

from django.contrib.auth.models import User


async def compose_answer(user: User, question: str) -> str:
    """Return the answer to ``question``; the same for the same rooms."""
    if "room" not in question.lower():
        return "I only know about rooms. Ask me: which rooms am I in?"
    names = [room.name async for room in user.rooms.all()]
    if not names:
        return "You are in no room yet. Create one, or wait to be invited."
    noun = "room" if len(names) == 1 else "rooms"
    return f"You are in {len(names)} {noun}: {', '.join(names)}."
