// The page of a room.

import { MessageSocket, describeError, showState } from "./socket.js";

const page = document.querySelector(".room");
const log = document.querySelector("#log");
const list = document.querySelector("#messages");
const composer = document.querySelector("#composer");
const problem = document.querySelector("#problem");
const own = page.dataset.user;
let present = new Set();
let sending = null; // What was sent and has not come back yet.

function lastId() {
  return Number(list.lastElementChild?.dataset.id ?? 0);
}

function element(name, text, className = "") {
  const created = document.createElement(name);
  created.textContent = text;
  created.className = className;
  return created;
}

function formatTime(time) {
  const date = new Date(time.dateTime);
  time.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  time.title = date.toLocaleString();
}

function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
}

// Messages may come twice after a reconnect: once as history, once as they are said.
function show({ id, author, text, created_at }) {
  if (list.querySelector(`[data-id="${id}"]`)) return;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const item = element("li", "", author === own ? "own" : "");
  const meta = element("p", "", "meta");
  const time = document.createElement("time");
  time.dateTime = created_at;
  formatTime(time);
  meta.append(element("b", author), " ", time);
  item.dataset.id = id;
  item.append(meta, element("p", text, "text"));
  const next = [...list.children].find((other) => Number(other.dataset.id) > id);
  list.insertBefore(item, next ?? null);
  if (atEnd || author === own) scrollToEnd();
}

function showUsers() {
  const items = [...present].sort().map((name) => {
    return element("li", name === own ? `${name} (you)` : name);
  });
  document.querySelector("#users").replaceChildren(...items);
}

function showProblem(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
}

const showSocketState = showState(
  document.querySelector("#state"),
  composer.querySelector("button"),
);

const socket = new MessageSocket(
  `/ws/rooms/${page.dataset.room}/`,
  {
    presence({ users }) {
      present = new Set(users);
      showUsers();
      // Whatever was said while the page was loaded, or the connection lost.
      socket.send("history", { after: lastId() });
    },
    history({ messages, more }) {
      messages.forEach(show);
      if (more) socket.send("history", { after: lastId() });
    },
    posted(message) {
      show(message);
      if (message.author === own && message.text === sending) sending = null;
    },
    joined({ user }) {
      present.add(user);
      showUsers();
    },
    left({ user }) {
      present.delete(user);
      showUsers();
    },
    error(payload) {
      showProblem(describeError(payload));
      // Not lost: it is there to be sent again, unless something else is by now.
      if (sending !== null && !composer.text.value) composer.text.value = sending;
      sending = null;
    },
  },
  (state, sentence) => {
    showSocketState(state, sentence);
    if (state !== "open") {
      present = new Set();
      showUsers();
    }
  },
);

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = composer.text.value.trim();
  if (!text) return;
  if (!socket.send("chat", { text })) {
    showProblem("Not sent: there is no connection. Your message is still here.");
    return;
  }
  showProblem("");
  sending = text;
  composer.reset();
  composer.text.focus();
});

composer.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    composer.requestSubmit();
  }
});

const invite = document.querySelector("#invite");
invite.addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = document.querySelector("#invited");
  const username = invite.username.value.trim();
  try {
    const response = await fetch(invite.action, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-CSRFToken": invite.csrfmiddlewaretoken.value,
      },
      body: JSON.stringify({ username }),
    });
    if (response.ok) {
      said.textContent =
        response.status === 201 ? `${username} was invited.` : `${username} is a member.`;
      invite.reset();
    } else {
      const faults = await response.json();
      said.textContent = faults.detail ?? Object.values(faults).flat().join(" ");
    }
  } catch {
    said.textContent = "The server could not be reached.";
  }
});

document.querySelector("#leave").addEventListener("submit", (event) => {
  if (!confirm("Leave this room? Somebody in it has to invite you back.")) {
    event.preventDefault();
  }
});

// Always open where there is room for it.
const narrow = matchMedia("(max-width: 48rem)");
const manage = document.querySelector(".manage");
const fold = () => (manage.open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();

list.querySelectorAll("time").forEach(formatTime);
scrollToEnd();
