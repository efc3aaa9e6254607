"""Views that tell the members of a group, as many projects have them."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tests.support.news import NewsConsumer, Published, publish_later


def publish(request: HttpRequest) -> JsonResponse:
    """Broadcast from a synchronous view, through the consumer class."""
    NewsConsumer.broadcast_event_sync(Published(payload=request.POST["title"]))
    return JsonResponse({"published": request.POST["title"]})


async def apublish(request: HttpRequest) -> JsonResponse:
    """Broadcast from an asynchronous view."""
    await NewsConsumer.broadcast_event(Published(payload=request.POST["title"]))
    return JsonResponse({"published": request.POST["title"]})


def publish_raw(request: HttpRequest) -> JsonResponse:
    """Broadcast past every class, through the channel layer."""
    async_to_sync(get_channel_layer().group_send)(
        "news", {"type": "raw.news", "title": request.POST["title"]}
    )
    return JsonResponse({})


def enqueue(request: HttpRequest) -> JsonResponse:
    """Have a task broadcast."""
    publish_later(request.POST["title"])
    return JsonResponse({}, status=202)


urlpatterns = [
    path("publish/", publish),
    path("apublish/", apublish),
    path("publish-raw/", publish_raw),
    path("enqueue/", enqueue),
]
