// The options of a question, made from the OpenAPI document: names, ranges and defaults are the server's.

import { byId, el, setError } from "./dom.js";

const SCHEMA = "Nemotron3NanoOmniVideoInput";
// Fields that the page has a place of its own for, or that have no effect.
const ELSEWHERE = new Set(["prompt", "video_url", "system_prompt", "reasoning_mode", "report_video",
  "enable_safety_checker"]);
const ABOUT_THE_CLIP = new Set(["fps", "max_frames", "start_s", "end_s", "video_pruning_rate", "use_audio",
  "detail"]);
const LABELS = {
  max_tokens: "Most tokens", temperature: "Temperature", top_p: "Top p", seed: "Seed", fps: "Frames a second",
  max_frames: "Most frames", start_s: "Start (s)", end_s: "End (s)",
  video_pruning_rate: "Share to drop", use_audio: "Sound", detail: "Detail", reasoning_budget: "Reasoning tokens",
  grace_period: "Grace tokens",
};
const WITH_THINKING = new Set(["reasoning_budget", "grace_period"]);

/** The input fields of the endpoint, in the document's order: [name, schema]. */
export function fieldsOf(document) {
  const { properties } = document.components.schemas[SCHEMA];
  return Object.entries(properties).filter(([name]) => !ELSEWHERE.has(name));
}

export class Fields {
  /** onChange: called after each change */
  constructor(place, document, onChange) {
    this.fields = fieldsOf(document);
    const parts = [["Answer", (name) => !ABOUT_THE_CLIP.has(name)], ["Frames and sound", (name) => ABOUT_THE_CLIP.has(name)]];
    for (const [title, belongs] of parts) {
      const fields = this.fields.filter(([name]) => belongs(name));
      place.append(el("fieldset", { class: "group" }, el("legend", {}, title),
        el("div", { class: "grid" }, fields.map(([name, schema]) => field(name, schema)))));
    }
    place.addEventListener("input", onChange);
  }

  /** Set which fields apply. Those of the chain of thought need thinking. */
  setThinking(isThinking) {
    for (const [name] of this.fields) {
      if (WITH_THINKING.has(name)) byId(name).disabled = !isThinking;
    }
  }

  /** The fields that are filled in, as the request has them. */
  values() {
    const values = {};
    for (const [name, schema] of this.fields) {
      const input = byId(name);
      if (input.disabled || input.value === "") continue;
      if (schema.type === "boolean") values[name] = input.value === "true";
      else if (schema.enum) values[name] = input.value;
      else values[name] = Number(input.value);
    }
    return values;
  }

  /** Show what is wrong with the fields before anything is sent. True if nothing is. */
  check() {
    let isFine = true;
    for (const [name, schema] of this.fields) {
      const input = byId(name);
      const message = input.disabled ? "" : complaint(input, schema);
      setError(name, message);
      isFine &&= !message;
    }
    return isFine;
  }

  fill(values) {
    for (const [name] of this.fields) {
      byId(name).value = values[name] === undefined ? "" : String(values[name]);
      setError(name, "");
    }
  }
}

function complaint(input, schema) {
  if (input.validity.badInput) return "This is not a number.";
  if (input.value === "" || schema.type === "boolean") return "";
  const value = Number(input.value);
  if (schema.type === "integer" && !Number.isInteger(value)) return "This has to be a whole number.";
  const { minimum: low = -Infinity } = schema;
  const high = mostOf(schema) ?? Number.MAX_SAFE_INTEGER;
  const isTooHigh = schema.exclusiveMaximum ? value >= high : value > high;
  const isTooLow = schema.exclusiveMinimum ? value <= low : value < low;
  return isTooHigh || isTooLow ? `This has to be ${range(schema)}.` : "";
}

// Beyond this, a number of a browser is not exact, and a bound would be shown rounded.
function mostOf({ maximum }) {
  return maximum > Number.MAX_SAFE_INTEGER ? undefined : maximum;
}

function range(schema) {
  const { minimum } = schema;
  const maximum = mostOf(schema);
  if (minimum !== undefined && maximum !== undefined) {
    return `from ${minimum} to ${schema.exclusiveMaximum ? "below " : ""}${maximum}`;
  }
  return minimum !== undefined ? `at least ${minimum}` : `at most ${maximum}`;
}

function field(name, schema) {
  const describedBy = `${name}-hint ${name}-error`;
  const hint = schema.type === "boolean" ? "" : hintOf(schema);
  return el("div", { class: "field" },
    el("label", { for: name, title: (schema.description ?? "").replace(/^omnireel: /, "") }, LABELS[name] ?? name),
    control(name, schema, describedBy),
    el("p", { class: "hint", id: `${name}-hint` }, hint),
    el("p", { class: "error", id: `${name}-error`, hidden: true }));
}

function hintOf(schema) {
  const isBounded = schema.minimum !== undefined || schema.maximum !== undefined;
  const facts = isBounded ? [range(schema).replace(/^from /, "")] : [];
  if ((schema.default ?? null) !== null) facts.push(`${schema.default} if empty`);
  return facts.join(", ");
}

function control(name, schema, describedBy) {
  if (schema.type === "boolean") {
    return choice(name, describedBy, [["", "as the model can"], ["true", "use it"], ["false", "leave it out"]]);
  }
  if (schema.enum) return choice(name, describedBy, [["", ""], ...schema.enum.map((word) => [word, word])]);
  const isWhole = schema.type === "integer";
  return el("input", {
    id: name, type: "number", step: isWhole ? 1 : "any", inputmode: isWhole ? "numeric" : "decimal",
    min: schema.minimum, max: schema.maximum, placeholder: schema.default ?? null, autocomplete: "off",
    "aria-describedby": describedBy,
  });
}

function choice(name, describedBy, options) {
  return el("select", { id: name, "aria-describedby": describedBy },
    options.map(([value, text]) => el("option", { value }, text)));
}
