// The place where a clip is chosen: dropped, picked, recorded, named by its address, or the sample.

import { Clip, measure, objection, objectionToFacts } from "./clip.js";
import { bytes, el, setError } from "./dom.js";
import { canRecord, Recording } from "./recorder.js";

export class ClipView {
  /** onChange: called with the clip, or null. limits: of the server; may be set later. */
  constructor(place, onChange) {
    this.place = place;
    this.onChange = onChange;
    this.limits = null;
    this.hasSample = false;
    this.clip = null;
    this.picker = el("input", {
      type: "file", id: "file", class: "unseen", accept: "video/*,image/gif,.mkv", tabindex: "-1", "aria-hidden": "true",
      onchange: () => this.picker.files.length && this.take(this.picker.files[0]),
    });
    for (const name of ["dragenter", "dragover"]) place.addEventListener(name, (event) => this.#dragged(event, true));
    place.addEventListener("dragleave", (event) => {
      if (!place.contains(event.relatedTarget)) this.#dragged(event, false);
    });
    place.addEventListener("drop", (event) => {
      this.#dragged(event, false);
      const [file] = event.dataTransfer.files;
      if (file) this.take(file);
      else setError("video_url", "That is not a file. Drop a video from a folder.");
    });
    this.showChoice();
  }

  #dragged(event, isOver) {
    event.preventDefault();
    this.place.classList.toggle("dragged", isOver);
  }

  /** Use a file, unless it is known that the server would refuse it. */
  take(file, { id, isMeasured = true } = {}) {
    const known = objection(file, this.limits);
    if (known) {
      setError("video_url", known);
      return;
    }
    const clip = new Clip({ id, file, name: file.name });
    this.use(clip);
    if (isMeasured) this.#measure(clip);
  }

  async #measure(clip) {
    clip.facts = await measure(clip.preview);
    if (this.clip !== clip) return;
    if (clip.facts?.isPlayable === false && !isPicture(clip)) {
      this.player.replaceWith(el("p", { class: "note" }, "This browser cannot play the clip. The server may still read it."));
    }
    this.#showFacts();
    this.onChange(clip);
  }

  /** Why the clip and the chosen part would be refused, as far as the browser knows. */
  objection(part) {
    return this.clip ? objectionToFacts(this.clip.facts, this.limits, part) : null;
  }

  use(clip) {
    if (this.clip && this.clip !== clip) this.clip.close();
    this.clip = clip;
    setError("video_url", "");
    if (clip) this.#showClip();
    else this.showChoice();
    this.onChange(clip);
  }

  showChoice() {
    const buttons = [el("button", { type: "button", class: "primary", id: "choose", onclick: () => this.picker.click() }, "Choose a file")];
    if (canRecord()) buttons.push(el("button", { type: "button", id: "record", onclick: () => this.#record() }, "Record"));
    buttons.push(el("button", { type: "button", id: "use-address", onclick: () => this.#askAddress() }, "Paste an address"));
    this.place.className = "drop";
    this.place.replaceChildren(
      el("p", { class: "lead" }, "Drop a video here"),
      el("p", { class: "note", id: "limits" }, this.#limitsText()),
      el("div", { class: "actions" }, buttons),
      this.hasSample ? el("p", { class: "note" }, "No clip at hand? ",
        el("button", { type: "button", class: "link", id: "sample", onclick: () => this.useSample() }, "Use the sample clip")) : "",
      this.picker);
    this.picker.value = "";
  }

  #limitsText() {
    if (!this.limits) return "";
    const { max_upload_bytes: most, max_video_s: length, max_resolution: size } = this.limits;
    return `Up to ${length} s, ${size} and ${bytes(most)}.`;
  }

  async useSample() {
    const response = await fetch(new URL("playground/sample.mp4", document.baseURI)).catch(() => null);
    if (!response?.ok) {
      setError("video_url", "The sample clip cannot be loaded: there is no connection to the server.");
      return;
    }
    this.take(new File([await response.blob()], "sample.mp4", { type: "video/mp4" }));
  }

  #askAddress() {
    const input = el("input", {
      id: "video_url", type: "url", inputmode: "url", placeholder: "https://example.com/clip.mp4", autocomplete: "off",
      spellcheck: "false", "aria-describedby": "video_url-error",
      onkeydown: (event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        accept();
      },
    });
    const accept = () => {
      const text = input.value.trim();
      if (!/^(https?:\/\/|data:)/i.test(text)) setError("video_url", "An address begins with https://.");
      else this.use(new Clip({ name: shownAddress(text), address: text }));
    };
    this.place.className = "drop";
    this.place.replaceChildren(
      el("div", { class: "field" }, el("label", { for: "video_url" }, "Address of the clip"), input,
        el("p", { class: "hint" }, "The server fetches it, from the public internet only.")),
      el("div", { class: "actions" },
        el("button", { type: "button", class: "primary", id: "accept-address", onclick: accept }, "Use this address"),
        el("button", { type: "button", onclick: () => this.#leaveChoice() }, "Back")));
    input.focus();
  }

  #leaveChoice() {
    setError("video_url", "");
    this.showChoice();
    this.place.querySelector("#choose").focus();
  }

  async #record() {
    let recording;
    try {
      recording = await Recording.begin(this.limits?.max_video_s ?? 120);
    } catch (error) {
      setError("video_url", error.message);
      return;
    }
    const live = el("video", { class: "player", muted: true, autoplay: true, playsinline: true, "aria-label": "Live picture" });
    live.muted = true;
    live.srcObject = recording.source;
    const clock = el("span", { class: "clock" }, "0 s");
    const begun = performance.now();
    const ticking = setInterval(() => {
      clock.textContent = `${Math.floor((performance.now() - begun) / 1000)} s`;
    }, 500);
    const stop = el("button", { type: "button", class: "primary", id: "stop-recording", onclick: () => recording.stop() }, "Stop");
    this.place.className = "chosen";
    this.place.replaceChildren(live, el("div", { class: "actions" }, stop,
      el("span", { class: "recording", role: "status" }, "Recording"), clock));
    stop.focus();
    const file = await recording.finished;
    clearInterval(ticking);
    this.take(file);
  }

  #showClip() {
    const { clip } = this;
    this.player = playerOf(clip);
    this.facts = el("span", { class: "facts" });
    this.place.className = "chosen";
    this.place.replaceChildren(this.player,
      el("div", { class: "chosen-line" },
        el("p", { class: "file" }, el("strong", { id: "clip-name" }, clip.name), " ", this.facts),
        el("button", { type: "button", class: "quiet", id: "change-clip", onclick: () => this.use(null) }, "Change")));
    this.#showFacts();
  }

  #showFacts() {
    const { file, facts } = this.clip;
    const texts = file ? [bytes(file.size)] : ["fetched by the server"];
    if (facts?.duration) texts.unshift(`${facts.duration.toFixed(1)} s`);
    if (facts?.width) texts.unshift(`${facts.width}×${facts.height}`);
    this.facts.textContent = texts.join(" · ");
  }
}

const isPicture = (clip) => clip.file?.type === "image/gif";

function playerOf(clip) {
  if (!clip.preview) return "";
  if (isPicture(clip)) return el("img", { class: "player", src: clip.preview, alt: "The clip" });
  return el("video", {
    class: "player", src: clip.preview, controls: true, playsinline: true, muted: true, preload: "metadata",
    "aria-label": "The clip",
  });
}

function shownAddress(text) {
  return text.length > 80 ? `${text.slice(0, 60)}… (${text.length} characters)` : text;
}
