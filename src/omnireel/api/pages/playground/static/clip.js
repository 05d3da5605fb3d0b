// A clip: a file of this browser, or an address that the server fetches.

import { upload } from "./api.js";
import { bytes } from "./dom.js";

const SIDES = { "1080p": [1920, 1080], "4k": [3840, 2160] };
const ENDINGS = /\.(mp4|m4v|mov|webm|mkv|gif)$/i;
const MEASURE_MS = 20_000;

export class Clip {
  /** file: a Blob, or null for an address */
  constructor({ id, file = null, name, address = null }) {
    this.id = id ?? newId();
    this.file = file;
    this.name = name;
    this.address = address;
    this.uploading = null;
    this.isStored = !file;
    this.facts = null;
    this.preview = file ? URL.createObjectURL(file) : null;
  }

  /** The value of video_url. A file is stored on the server first, once. */
  async reference(options) {
    if (!this.file) return this.address;
    this.uploading ??= this.#upload(options);
    return this.uploading;
  }

  async #upload(options) {
    try {
      const address = await upload(this.file, this.name, options);
      this.isStored = true;
      return address;
    } catch (error) {
      this.expire();
      throw error;
    }
  }

  /** The stored copy may have expired: the next reference stores the file again. */
  expire() {
    this.uploading = null;
    this.isStored = !this.file;
  }

  close() {
    if (this.preview) URL.revokeObjectURL(this.preview);
  }
}

export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What this browser can find out about a clip: { isPlayable, duration, width, height }; null where it takes too long. */
export function measure(url) {
  return new Promise((resolve) => {
    const video = document.createElement("video");
    const end = (facts) => {
      clearTimeout(timer);
      video.removeAttribute("src");
      resolve(facts);
    };
    const timer = setTimeout(() => end(null), MEASURE_MS);
    video.preload = "metadata";
    video.onerror = () => end({ isPlayable: false });
    video.onloadedmetadata = () => end({
      isPlayable: true, duration: Number.isFinite(video.duration) ? video.duration : null,
      width: video.videoWidth, height: video.videoHeight,
    });
    video.src = url;
  });
}

/** Why a file would be refused, known before it is sent; null where nothing is known against it. */
export function objection(file, limits) {
  if (!file.size) return `“${file.name}” is empty.`;
  const looksRight = file.type.startsWith("video/") || file.type === "image/gif" || ENDINGS.test(file.name);
  if (!looksRight) return `“${file.name}” is not a video. The model reads mp4, mov, webm, mkv and gif.`;
  if (limits && file.size > limits.max_upload_bytes) {
    return `“${file.name}” has ${bytes(file.size)}. The server takes at most ${bytes(limits.max_upload_bytes)}.`;
  }
  return null;
}

/** The same for what the browser measured. part: [start, end] in seconds where only a part is to be used. */
export function objectionToFacts(facts, limits, part) {
  if (!facts?.isPlayable || !limits) return null;
  const end = Math.min(part?.[1] ?? Infinity, facts.duration ?? Infinity);
  const length = end - (part?.[0] ?? 0);
  if (Number.isFinite(length) && length > limits.max_video_s + 0.05) {
    return `The clip has ${length.toFixed(1)} s. At most ${limits.max_video_s} s can be looked at: choose a part ` +
      "with start and end in the options.";
  }
  const [long, short] = SIDES[limits.max_resolution] ?? [Infinity, Infinity];
  if (Math.max(facts.width, facts.height) > long || Math.min(facts.width, facts.height) > short) {
    return `The picture has ${facts.width}×${facts.height} pixels. The server reads at most ${long}×${short}.`;
  }
  return null;
}
