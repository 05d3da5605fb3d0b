// One question from "Ask" to its end, by stream or by queue. It changes a record and reports each change.

import * as api from "./api.js";

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
export const UNFINISHED = new Set(["sending", "waiting", "running"]);

/** What is kept of a question; plain data, because the history stores it. */
export function newRecord({ id, clip, input, way }) {
  return {
    id, way, input, asked_at: Date.now(), clip: { id: clip.id, name: clip.name, address: clip.address },
    state: "sending", note: "", output: "", result: null, inspection: null, logs: [], request_id: null, error: null,
    ended_at: null,
  };
}

/** Its answer so far: { reasoning, answer, is_thinking }. */
export function partsOf(record) {
  const text = record.result?.output ?? record.output;
  if (record.input.reasoning_mode !== "think") return { reasoning: "", answer: text, is_thinking: false };
  const rest = text.startsWith("<think>") ? text.slice("<think>".length) : text;
  const end = rest.indexOf("</think>");
  if (end < 0) return { reasoning: rest, answer: "", is_thinking: true };
  return { reasoning: rest.slice(0, end).trim(), answer: rest.slice(end + "</think>".length).trimStart(), is_thinking: false };
}

export class Question {
  /** onChange: called with the record after each change */
  constructor(record, clip, onChange) {
    this.record = record;
    this.clip = clip;
    this.onChange = onChange;
    this.abort = new AbortController();
    this.num_tries = 0;
  }

  get isOpen() {
    return UNFINISHED.has(this.record.state);
  }

  #set(changes) {
    Object.assign(this.record, changes);
    this.onChange(this.record);
  }

  /** Run to the end. Never raises: what went wrong is in the record. */
  async run() {
    try {
      await this.#attempt();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Continue with a queued question, after a lost connection or in a new page. */
  async resume() {
    this.abort = new AbortController();
    this.#set({ state: "waiting", error: null, note: "Asking the server about it" });
    try {
      await this.#follow();
    } catch (error) {
      this.#fail(error);
    }
  }

  async cancel() {
    const { request_id: id, way } = this.record;
    this.#set({ note: "Cancelling" });
    if (way === "queue" && id) {
      try {
        await api.cancel(id);
      } catch (error) {
        this.#set({ note: error.message });
        return;
      }
    }
    this.abort.abort();
  }

  async #attempt() {
    const wasStored = this.clip.isStored;
    try {
      await this.#ask();
    } catch (error) {
      // A file that was stored some time ago may be gone; it is sent again, once.
      const isGone = error instanceof api.ApiError && error.problems.some(({ field }) => field === "video_url");
      if (!(isGone && wasStored && this.clip.file)) throw error;
      this.clip.expire();
      await this.#ask();
    }
  }

  async #ask() {
    const { signal } = this.abort;
    this.num_tries += 1;
    const reference = await this.clip.reference({
      signal, onProgress: (share) => this.#set({ state: "sending", note: `Sending the clip: ${Math.round(share * 100)} %` }),
    });
    const input = { ...this.record.input, video_url: reference };
    if (this.record.way === "queue") await this.#submit(input);
    else await this.#stream(input);
  }

  async #stream(input) {
    this.#set({ state: "running", note: "Reading the clip" });
    const result = await api.stream(input, {
      signal: this.abort.signal, onText: (output) => this.#set({ output, note: "Writing" }),
    });
    this.#finish(result);
  }

  async #submit(input) {
    this.#set({ state: "waiting", note: "Submitting" });
    // The same name after a lost connection: what was answered into it stores no second job.
    const name = `playground-${this.record.id}-${this.num_tries}`;
    const status = await this.#patiently(() => api.submit(input, name));
    this.#set({ request_id: status.request_id, note: "Waiting in the queue" });
    await this.#follow();
  }

  async #follow() {
    const { request_id: id } = this.record;
    const { signal } = this.abort;
    await this.#patiently(async () => {
      const logs = []; // a new connection sends the whole log again
      for await (const status of api.statuses(id, signal)) {
        logs.push(...status.logs.map(({ message, timestamp }) => ({ message, timestamp })));
        const isWaiting = status.status === "IN_QUEUE";
        this.#set({ state: isWaiting ? "waiting" : "running", logs: [...logs], note: statusText(status) });
      }
    });
    this.#finish(await this.#patiently(() => api.result(id)));
  }

  // Try again after a lost connection, a few times.
  async #patiently(work) {
    for (const delay of [...RETRY_MS, null]) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof api.ConnectionLost) || delay === null || this.abort.signal.aborted) throw error;
        this.#set({ note: "The connection was lost; trying again" });
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  }

  #finish(result) {
    this.#set({ state: "done", note: "", result, output: result.output, ended_at: Date.now() });
  }

  #fail(error) {
    const ended_at = Date.now();
    if (error.name === "AbortError" || (error instanceof api.ApiError && error.status === 499)) {
      this.#set({ state: "cancelled", note: "", ended_at });
    } else if (error instanceof api.ConnectionLost) {
      this.#set({ state: "lost", note: "", ended_at, error: { message: error.message, problems: [] } });
    } else {
      if (!(error instanceof api.ApiError)) console.error(error);
      const { message, problems = [], status = 0 } = error;
      this.#set({ state: "failed", note: "", ended_at, error: { message, problems, status } });
    }
  }
}

function statusText({ status, queue_position: position }) {
  if (status === "IN_PROGRESS") return "The server is working on it";
  if (position === 0) return "Next in the queue";
  return position > 0 ? `${position} before it in the queue` : "Waiting in the queue";
}
