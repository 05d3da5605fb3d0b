// The server's public HTTP API, as any client uses it.

export const ENDPOINT = "nvidia/nemotron-3-nano-omni/video";
const APP = "nvidia/nemotron-3-nano-omni";
const KEY = "omnireel.key";

/** The server answered with an error. problems: of the fields, each { field, message }. */
export class ApiError extends Error {
  constructor(status, message, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

/** There was no answer, or it broke off. */
export class ConnectionLost extends Error {
  constructor() {
    super("The connection to the server was lost.");
  }
}

const address = (path) => new URL(path, document.baseURI);

export const key = {
  get value() {
    try {
      return sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || "";
    } catch {
      return this.unkept || "";
    }
  },
  set(value, keep) {
    try {
      sessionStorage.removeItem(KEY);
      localStorage.removeItem(KEY);
      if (value) (keep ? localStorage : sessionStorage).setItem(KEY, value);
    } catch {
      this.unkept = value; // storage is switched off
    }
  },
  get isKept() {
    try {
      return localStorage.getItem(KEY) !== null;
    } catch {
      return false;
    }
  },
};

function headers(more) {
  return key.value ? { authorization: `Key ${key.value}`, ...more } : { ...more };
}

async function send(path, { method = "GET", body, signal, more = {} } = {}) {
  const json = body === undefined ? {} : { "content-type": "application/json" };
  let response;
  try {
    response = await fetch(address(path), {
      method, signal, headers: headers({ ...json, ...more }),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ConnectionLost();
  }
  if (!response.ok) throw await failure(response.status, response.text());
  return response;
}

async function failure(status, text) {
  let content = {};
  try {
    content = JSON.parse(await text);
  } catch {
    // Not from this server, or the connection broke off: the status is all there is.
  }
  return failureOf(status, content);
}

function failureOf(status, content) {
  const details = Array.isArray(content.detail) ? content.detail : [];
  const problems = details.map((item) => ({
    field: item.loc?.[0] === "body" ? String(item.loc[1] ?? "") : "",
    message: String(item.msg),
  }));
  const message = content.message ?? content.error?.message ?? `The server answered with status ${status}.`;
  if (problems.length === 1) problems[0].message = withoutField(String(message), problems[0].field);
  return new ApiError(status, String(message), problems);
}

// The whole message has the hint as well; the field is named by its place on the page.
function withoutField(message, field) {
  return message.startsWith(`${field}: `) ? message.slice(field.length + 2) : message;
}

async function json(path, options) {
  const response = await send(path, options);
  try {
    return await response.json();
  } catch {
    throw new ConnectionLost();
  }
}

export const health = () => json("health");
export const openapi = () => json("openapi.json");
export const prices = () => json(`platform/v1/models/pricing?endpoint_id=${encodeURIComponent(ENDPOINT)}`);
export const inspect = (input, signal) => json(`${ENDPOINT}/inspect`, { method: "POST", body: input, signal });

/** Each server-sent event of a response, parsed. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      throw error.name === "AbortError" ? error : new ConnectionLost();
    }
    if (part.done) return;
    const blocks = (waiting + part.value).split("\n\n");
    waiting = blocks.pop();
    for (const block of blocks) {
      if (block.startsWith("data: ")) yield JSON.parse(block.slice(6));
    }
  }
}

/** Ask and read the answer as it is written. onText gets the text so far. Aborting cancels the job. */
export async function stream(input, { onText, signal }) {
  const response = await send(`${ENDPOINT}/stream`, { method: "POST", body: input, signal });
  for await (const event of events(response)) {
    if (event.usage) return event;
    if (event.detail !== undefined) throw failureOf(500, event);
    onText(event.output);
  }
  throw new ConnectionLost();
}

const job = (id) => `queue/${APP}/requests/${encodeURIComponent(id)}`;

export const submit = (input, idempotency) =>
  json(`queue/${ENDPOINT}`, { method: "POST", body: input, more: { "idempotency-key": idempotency } });
export const result = (id) => json(job(id));

/** Cancel a queued job. One that has ended already stays as it is. */
export async function cancel(id) {
  try {
    await send(`${job(id)}/cancel`, { method: "PUT" });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 400)) throw error;
  }
}

/** The status of a job at each change, with its new log lines, until it has ended. */
export async function* statuses(id, signal) {
  const response = await send(`${job(id)}/status/stream?logs=1`, { signal });
  for await (const event of events(response)) {
    yield event;
    if (event.status === "COMPLETED") return;
  }
  throw new ConnectionLost();
}

/** Store a file on the server. Returns its address, which can be asked about until it expires. */
export async function upload(blob, name, { onProgress, signal }) {
  const begun = await json("rest/storage/upload/initiate", {
    method: "POST", signal,
    body: { file_name: name, content_type: (blob.type || "video/mp4").split(";")[0] },
    more: { "x-fal-object-lifecycle": JSON.stringify({ expiration_duration_seconds: 6 * 3600 }) },
  });
  await put(begun.upload_url, blob, { onProgress, signal });
  return begun.file_url;
}

// Not fetch: it does not report the progress of what it sends.
function put(url, blob, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("PUT", url);
    request.upload.onprogress = (event) => onProgress(event.loaded / Math.max(event.total, 1));
    request.onload = async () => {
      if (request.status < 300) resolve();
      else reject(await failure(request.status, request.responseText));
    };
    request.onerror = () => reject(new ConnectionLost());
    request.onabort = () => reject(new DOMException("The upload was stopped.", "AbortError"));
    request.onloadend = () => signal?.removeEventListener("abort", stop);
    signal?.addEventListener("abort", stop);
    request.send(blob);
  });
}
