// Notifications, on every page.

import { MessageSocket } from "./socket.js";

const SHOWN_FOR = 10000; // milliseconds
const region = document.querySelector("#notifications");
const currentRoom = document.querySelector(".room")?.dataset.room;

const SENTENCES = {
  invitation: ({ sender, room_name }) => `${sender} invited you to ${room_name}`,
  mention: ({ sender, room_name }) => `${sender} called you in ${room_name}`,
};

new MessageSocket("/ws/notifications/", {
  notification(payload) {
    // What is said in the room on this page is on this page.
    if (payload.kind === "mention" && String(payload.room_id) === currentRoom) return;
    const link = document.createElement("a");
    link.href = `/rooms/${payload.room_id}/`;
    link.className = "toast";
    link.textContent = SENTENCES[payload.kind](payload);
    if (payload.text) {
      const quote = document.createElement("span");
      quote.textContent = payload.text;
      link.append(quote);
    }
    region.append(link);
    setTimeout(() => link.remove(), SHOWN_FOR);
  },
});
