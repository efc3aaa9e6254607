// A WebSocket of messages with an action, which connects again when it is lost.

// The server closes with 4000 + an HTTP status where there is no use in trying again.
const REFUSALS = {
  4401: "You are logged out. Log in again.",
  4403: "You are not, or no longer, a member of this room.",
  4404: "There is no such room.",
};
const FIRST_DELAY = 500; // milliseconds
const LONGEST_DELAY = 15000;

export class MessageSocket {
  // handlers: { action: payload => … }
  // onState: called with "connecting", "open" or "refused", and a sentence.
  constructor(path, handlers, onState = () => {}) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.url = `${scheme}//${location.host}${path}`;
    this.handlers = handlers;
    this.onState = onState;
    this.delay = FIRST_DELAY;
    addEventListener("online", () => this.retryNow());
    // A browser may keep a page that was left, to show it again, and its sockets too.
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    this.open();
  }

  open() {
    this.timer = null;
    this.onState("connecting", "Connecting …");
    this.socket = new WebSocket(this.url);
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => this.closed(event.code);
  }

  receive({ action, payload }) {
    if (action === "authentication") {
      if (payload.status_code !== 200) return; // The close that follows says it.
      this.delay = FIRST_DELAY;
      this.onState("open", "Connected");
    }
    this.handlers[action]?.(payload);
  }

  closed(code) {
    if (code in REFUSALS) {
      this.onState("refused", REFUSALS[code]);
      return;
    }
    this.onState("connecting", "Connection lost, trying again …");
    // Clients that lost one server should not all come back at the same moment.
    this.timer = setTimeout(() => this.open(), this.delay * (0.5 + Math.random() / 2));
    this.delay = Math.min(this.delay * 2, LONGEST_DELAY);
  }

  retryNow() {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.open();
  }

  leave() {
    clearTimeout(this.timer);
    this.timer = null;
    this.socket.onclose = null;
    this.socket.close();
  }

  // Returns whether the message could be handed to an open connection.
  send(action, payload) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify({ action, payload }));
    return true;
  }
}

// Shows the state of a socket, and lets its form be used only while that is open.
export function showState(element, button) {
  return (state, sentence) => {
    element.dataset.state = state;
    element.textContent = sentence;
    button.disabled = state !== "open";
  };
}

// Returns what an error message says, in one sentence.
export function describeError(payload) {
  if (Array.isArray(payload)) return payload.map((fault) => fault.msg).join(". ");
  return payload?.detail ?? "Something went wrong.";
}
