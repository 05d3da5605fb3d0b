// One question and its answer. It is drawn once, and then only what changed is written into it.

import { count, copy, dollars, el } from "./dom.js";
import { partsOf, UNFINISHED } from "./question.js";

export class AnswerView {
  /** actions: { cancel, resume, again, askByQueue, show }, each called with the record */
  constructor(record, actions, priceOf) {
    this.record = record;
    this.priceOf = priceOf;
    this.thoughts = el("pre", { class: "thoughts" });
    this.reasoning = el("details", { class: "reasoning", hidden: true }, el("summary", {}, "Reasoning"), this.thoughts);
    this.text = el("p", { class: "text", dir: "auto" });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.note = el("span", { class: "progress" });
    this.busy = el("p", { class: "busy" }, el("span", { class: "pulse", "aria-hidden": "true" }), this.note);
    this.lines = el("ol", { class: "lines", tabindex: "0", "aria-label": "Log lines" });
    this.log = el("details", { class: "log", hidden: true }, el("summary", {}, "Log"), this.lines);
    this.usage = el("p", { class: "usage" });
    this.buttons = {
      cancel: button("Cancel", () => actions.cancel(record)),
      resume: button("Resume", () => actions.resume(record)),
      queue: button("Ask by queue", () => actions.askByQueue(record)),
      copy: button("Copy", () => this.#copy()),
      again: button("Ask another about this clip", () => actions.again(record)),
      show: button("Show its frames", () => actions.show(record)),
    };
    this.element = el("li", { class: "answer", "data-id": record.id },
      el("article", {},
        el("h3", { class: "question", dir: "auto" }, record.input.prompt),
        el("p", { class: "about" }, el("span", { class: "about-clip" }, record.clip.name), ` · ${when(record.asked_at)}`,
          record.way === "queue" ? " · by queue" : ""),
        this.busy, this.reasoning, this.text, this.error, this.log, this.usage,
        el("p", { class: "actions" }, Object.values(this.buttons))));
    this.update();
  }

  update() {
    const { record } = this;
    const { state, error, logs } = record;
    const { reasoning, answer, is_thinking: isThinking } = partsOf(record);
    const isOpen = UNFINISHED.has(state);
    this.element.dataset.state = state;
    this.element.firstChild.setAttribute("aria-busy", String(isOpen));
    write(this.text, answer);
    write(this.thoughts, reasoning);
    this.reasoning.hidden = !reasoning;
    write(this.reasoning.firstChild, isThinking && isOpen ? `Reasoning: ${count(reasoning.length)} characters so far` : "Reasoning");
    this.busy.hidden = !isOpen;
    write(this.note, record.note);
    write(this.error, problem(record));
    this.error.hidden = !this.error.textContent;
    this.log.hidden = !logs.length;
    for (const line of logs.slice(this.lines.children.length)) this.lines.append(el("li", {}, line.message));
    write(this.usage, this.#usage());
    this.usage.hidden = !this.usage.textContent;
    this.#showButtons(isOpen, answer);
  }

  #showButtons(isOpen, answer) {
    const { state, way, request_id: id, inspection } = this.record;
    this.buttons.cancel.hidden = !isOpen;
    this.buttons.resume.hidden = !(state === "lost" && way === "queue" && id);
    this.buttons.queue.hidden = !(state === "lost" && !(way === "queue" && id));
    this.buttons.copy.hidden = isOpen || !answer;
    this.buttons.again.hidden = isOpen;
    this.buttons.show.hidden = isOpen || !inspection;
  }

  #usage() {
    const { result, asked_at: begun, ended_at: ended } = this.record;
    if (!result) return "";
    const { input_tokens: read, output_tokens: written } = result.usage;
    const facts = [`${count(read)} tokens read, ${count(written)} written`, dollars(this.priceOf(read + written))];
    if (ended) facts.push(`${((ended - begun) / 1000).toFixed(1)}\u00a0s`);
    if (result.finish_reason === "length") facts.push("cut off: the most tokens were reached");
    return facts.join(" · ");
  }

  async #copy() {
    const worked = await copy(partsOf(this.record).answer);
    this.buttons.copy.textContent = worked ? "Copied" : "Not allowed";
    setTimeout(() => (this.buttons.copy.textContent = "Copy"), 1500);
  }
}

function problem({ state, error, way, request_id: id, output }) {
  if (state === "cancelled") return output ? "Cancelled. The text above is what was written until then." : "Cancelled.";
  if (state === "lost" && way === "queue" && id) {
    return "The connection to the server was lost. The question is in the queue and goes on without this page.";
  }
  if (state === "lost") {
    return "The connection to the server was lost, and a streamed question ends with it. By queue, a question goes on.";
  }
  return error?.message ?? "";
}

const button = (text, onclick) => el("button", { type: "button", class: "quiet", onclick }, text);

// Writing the same text again would lose a selection in it.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function when(time) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : date.toLocaleString();
}
