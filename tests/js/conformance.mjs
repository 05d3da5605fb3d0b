// node conformance.mjs WAY CASE...: one line of JSON per case: {name, value} or {name, error}.
import { randomBytes } from "node:crypto";
import { ApiError, ValidationError } from "@fal-ai/client";
import { connect } from "./client.mjs";

const [way, ...names] = process.argv.slice(2);
const fal = connect(way);
const id = process.env.ENDPOINT;
const ask = { prompt: "grüße an alle", video_url: process.env.CLIP };
const long = { prompt: "w ".repeat(200), video_url: process.env.CLIP };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function fieldsOf(error) {
  return {
    isApiError: error instanceof ApiError,
    isValidationError: error instanceof ValidationError,
    name: error.name,
    message: error.message,
    status: error.status,
    body: error.body,
    requestId: error.requestId,
    isUserTimeout: error.isUserTimeout,
    fieldErrors: error.fieldErrors,
    ofVideo: error.getFieldErrors?.("video_url"),
  };
}

async function refusal(promise) {
  try {
    return { answered: await promise };
  } catch (error) {
    return fieldsOf(error);
  }
}

async function statusWhen(requestId, word, options = {}) {
  for (;;) {
    const status = await fal.queue.status(id, { requestId, ...options });
    if (status.status === word) return status;
    await sleep(50);
  }
}

async function begun(input) {
  const { request_id: requestId } = await fal.queue.submit(id, { input });
  await statusWhen(requestId, "IN_PROGRESS");
  return requestId;
}

async function subscribed(mode) {
  const updates = [];
  let enqueued;
  const result = await fal.subscribe(id, {
    input: ask,
    mode,
    logs: true,
    pollInterval: 100,
    onEnqueue: (requestId) => (enqueued = requestId),
    onQueueUpdate: (update) => updates.push(structuredClone(update)),
  });
  return { result, enqueued, updates };
}

const CASES = {
  run: () => fal.run(id, { input: ask }),

  async queue() {
    const submitted = await fal.queue.submit(id, {
      input: ask, priority: "low", hint: "h1", startTimeout: 60, headers: { "X-Fal-No-Retry": "1" },
    });
    const requestId = submitted.request_id;
    const status = await statusWhen(requestId, "COMPLETED", { logs: true });
    return { submitted, status, result: await fal.queue.result(id, { requestId }) };
  },

  subscribePolling: () => subscribed("polling"),
  subscribeStreaming: () => subscribed("streaming"),

  async streamStatus() {
    const { request_id: requestId } = await fal.queue.submit(id, { input: ask });
    const words = [];
    for await (const status of await fal.queue.streamStatus(id, { requestId, logs: true })) words.push(status.status);
    return words;
  },

  async stream() {
    const stream = await fal.stream(id, { input: ask });
    const events = [];
    for await (const event of stream) events.push(event);
    return { events, done: await stream.done(), requestId: stream.requestId };
  },

  async cancel() {
    const requestId = await begun(long);
    await fal.queue.cancel(id, { requestId });
    const status = await statusWhen(requestId, "COMPLETED");
    return { status, result: await refusal(fal.queue.result(id, { requestId })), again: await refusal(fal.queue.cancel(id, { requestId })) };
  },

  async clientTimeout() {
    let requestId;
    const subscription = fal.subscribe(id, { input: long, timeout: 1000, onEnqueue: (value) => (requestId = value) });
    const error = await refusal(subscription);
    return { message: error.message, status: await statusWhen(requestId, "COMPLETED") };
  },

  async abortedRun() {
    const controller = new AbortController();
    const running = refusal(fal.run(id, { input: long, abortSignal: controller.signal }));
    await sleep(3000); // until the server has it, on a busy machine too
    controller.abort();
    return running;
  },

  async abortedStream() {
    const stream = await fal.stream(id, { input: long });
    for await (const event of stream) {
      stream.abort();
      return event;
    }
  },

  missingField: () => refusal(fal.run(id, { input: { prompt: "hello" } })),
  emptyBody: () => refusal(fal.run(id, {})),
  badVideo: () => refusal(fal.subscribe(id, { input: { ...ask, video_url: "data:video/mp4;base64,AAAA" } })),
  missingFieldInStream: async () => refusal((await fal.stream(id, { input: { prompt: "hello" } })).done()),
  unknownRequest: () => refusal(fal.queue.status(id, { requestId: "00000000-0000-4000-8000-000000000000" })),
  unknownApplication: () => refusal(fal.run("nobody/nothing", { input: ask })),

  async resultTooEarly() {
    const requestId = await begun(long);
    const early = await refusal(fal.queue.result(id, { requestId }));
    await fal.queue.cancel(id, { requestId });
    return early;
  },

  async startTimeout() {
    const numRunning = Number(process.env.MAX_RUNNING);
    const busy = await Promise.all(Array.from({ length: numRunning }, () => begun(long)));
    const late = await refusal(fal.run(id, { input: ask, startTimeout: 1.1 })); // the client refuses 1
    await Promise.all(busy.map((requestId) => fal.queue.cancel(id, { requestId })));
    return late;
  },

  // Half of them wait on the line, half in the queue.
  async uploads() {
    const found = [];
    for (const size of [1024, 5_000_000, 95_000_000]) {
      const bytes = Buffer.alloc(size, randomBytes(4099));
      const url = await fal.storage.upload(new Blob([bytes], { type: "video/mp4" }));
      const back = Buffer.from(await (await fetch(url)).arrayBuffer());
      found.push({ size, isWhole: back.equals(bytes) });
    }
    return found;
  },
  async fileInInput() {
    const clip = Buffer.from(process.env.CLIP.split(",")[1], "base64");
    const video_url = new File([clip], "clip.mp4", { type: "video/mp4" });
    return await fal.subscribe(id, { input: { ...ask, video_url } });
  },
  async parallel() {
    const call = (number) => {
      const input = { ...ask, prompt: `number ${number}` };
      return number % 2 ? fal.run(id, { input }) : fal.subscribe(id, { input });
    };
    const results = await Promise.all(Array.from({ length: 200 }, (_, number) => call(number)));
    return results.map(({ data, requestId }) => [data.output, requestId]);
  },
};

async function show(name) {
  let line;
  try {
    line = { name, value: await CASES[name]() };
  } catch (error) {
    line = { name, error: String(error), fields: fieldsOf(error) };
  }
  console.log(JSON.stringify(line));
}

// All at once, but for the one that fills the server.
const last = "startTimeout";
await Promise.all(names.filter((name) => name !== last).map(show));
if (names.includes(last)) await show(last);
