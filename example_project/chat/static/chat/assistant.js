// The page of the assistant.

import { MessageSocket, describeError, showState } from "./socket.js";

const form = document.querySelector("#ask");
const button = form.querySelector("button");
const answer = document.querySelector("#answer");
const bar = document.querySelector("#progress");
const problem = document.querySelector("#problem");

function end(sentence = "") {
  bar.hidden = true;
  problem.textContent = sentence;
  problem.hidden = !sentence;
  answer.removeAttribute("aria-busy");
}

const showSocketState = showState(document.querySelector("#state"), button);

const socket = new MessageSocket(
  "/ws/assistant/",
  {
    progress({ done, total, text }) {
      bar.max = total;
      bar.value = done;
      answer.textContent += (done > 1 ? " " : "") + text;
    },
    answer({ text }) {
      answer.textContent = text;
      button.disabled = false;
      end();
    },
    error(payload) {
      button.disabled = false;
      end(describeError(payload));
    },
  },
  (state, sentence) => {
    showSocketState(state, sentence);
    if (state !== "open" && !bar.hidden) end("The answer was cut off. Ask again.");
  },
);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket.send("ask", { question: form.question.value })) return;
  end();
  answer.textContent = "";
  // Read aloud as a whole, not word by word.
  answer.setAttribute("aria-busy", "true");
  bar.removeAttribute("value");
  bar.hidden = false;
  button.disabled = true;
});
