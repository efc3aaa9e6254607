"""The pages."""

from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UserCreationForm
from django.forms import modelform_factory
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.views.decorators.http import require_POST
from django.views.generic import CreateView

from example_project.chat.consumers import HISTORY_LENGTH, RoomConsumer
from example_project.chat.messages import MemberRemovedEvent, Removal
from example_project.chat.models import Room

RoomForm = modelform_factory(Room, fields=["name"])


class SignUpView(CreateView):
    """Makes an account and logs its user in."""

    form_class = UserCreationForm
    template_name = "registration/signup.html"
    success_url = reverse_lazy("room-list")

    def form_valid(self, form: UserCreationForm) -> HttpResponse:
        """Save the user and log them in."""
        response = super().form_valid(form)
        login(self.request, self.object)
        return response


@login_required
def room_list(request: HttpRequest) -> HttpResponse:
    """Show the rooms of the user, or create one."""
    form = RoomForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        room = form.save()
        room.members.add(request.user)
        return redirect(room)
    context = {"form": form, "rooms": request.user.rooms.all()}
    return render(request, "chat/room_list.html", context)


@login_required
def room(request: HttpRequest, room_id: int) -> HttpResponse:
    """Show what was said last; the rest comes over the socket of the page."""
    room = get_object_or_404(request.user.rooms, pk=room_id)
    newest = room.messages.select_related("author").reverse()[:HISTORY_LENGTH]
    context = {
        "room": room,
        "rooms": request.user.rooms.all(),
        "chat_messages": list(newest)[::-1],
    }
    return render(request, "chat/room.html", context)


@login_required
@require_POST
def leave_room(request: HttpRequest, room_id: int) -> HttpResponse:
    """End a membership, and the connections that depend on it."""
    room = get_object_or_404(request.user.rooms, pk=room_id)
    room.members.remove(request.user)
    RoomConsumer.broadcast_event_sync(
        MemberRemovedEvent(payload=Removal(user_id=request.user.pk)),
        RoomConsumer.group_of(room.pk),
    )
    if not room.members.exists():
        # Nobody could ever see it again.
        room.delete()
    return redirect("room-list")


@login_required
def assistant(request: HttpRequest) -> HttpResponse:
    """Show the page of the assistant."""
    context = {"rooms": request.user.rooms.all()}
    return render(request, "chat/assistant.html", context)
