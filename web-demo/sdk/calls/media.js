/**
 * @file Microphone, camera and screen: asking for them, with one plain code for each thing that browsers
 * say in many ways.
 */

import { unlessAborted } from "../deferred.js";
import { DuologueError } from "../errors.js";

/** @typedef {"audio" | "video"} Kind */

/**
 * What is wanted of the devices; constraints choose among them.
 * @typedef {object} Wanted
 * @property {boolean | MediaTrackConstraints} [audio]
 * @property {boolean | MediaTrackConstraints} [video]
 */

const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
/** As much as one person's face needs; the bitrate is bounded apart. */
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
/** Words on a screen need sharpness, not motion. */
const SCREEN = { frameRate: { ideal: 15, max: 30 } };

/** By the names of DOMException (Media Capture and Streams, section 10.2). */
const CODES = /** @type {Record<string, string>} */ ({
  NotAllowedError: "media-denied",
  SecurityError: "media-denied",
  NotFoundError: "media-missing",
  OverconstrainedError: "media-missing",
  NotReadableError: "media-busy",
  AbortError: "media-busy",
  NotSupportedError: "media-unsupported",
});

const SENTENCES = /** @type {Record<string, string>} */ ({
  "media-denied": "The browser does not let this page use it.",
  "media-missing": "There is no such device.",
  "media-busy": "Another program uses it, or it does not start.",
  "media-failed": "It could not be opened.",
});

/** Whether there can be calls here at all. */
export function canCall() {
  return typeof globalThis.RTCPeerConnection === "function";
}

/**
 * The tracks that were asked for; none is none.
 * @param {Wanted} wanted
 * @returns {Promise<MediaStreamTrack[]>}
 */
export async function open({ audio = false, video = false }) {
  if (!canCall()) throw unsupported();
  if (!audio && !video) return [];
  const devices = mediaDevices();
  try {
    const stream = await devices.getUserMedia({ audio: audio && filled(SOUND, audio), video: video && filled(PICTURE, video) });
    return stream.getTracks();
  } catch (error) {
    throw refused(error);
  }
}

/**
 * The same, unless it is not wanted any more before the person has answered: what comes later is let go at once.
 * @param {Wanted} wanted
 * @param {Promise<never>} gone
 * @param {AbortSignal} [signal]
 * @returns {Promise<MediaStreamTrack[]>}
 */
export async function openUnless(wanted, gone, signal) {
  signal?.throwIfAborted();
  const opening = open(wanted);
  try {
    return await unlessAborted(signal, Promise.race([opening, gone]));
  } catch (error) {
    opening.then((tracks) => tracks.forEach((track) => track.stop()), () => {});
    throw error;
  }
}

/**
 * A screen, a window or a tab, as the person chooses.
 * @returns {Promise<MediaStreamTrack>}
 */
export async function openScreen() {
  const devices = mediaDevices();
  if (!devices.getDisplayMedia) throw unsupported();
  try {
    const stream = await devices.getDisplayMedia({ video: SCREEN, audio: false });
    return stream.getVideoTracks()[0];
  } catch (error) {
    throw refused(error);
  }
}

/**
 * The devices there are; without a permission they have no names yet.
 * @returns {Promise<MediaDeviceInfo[]>}
 */
export async function list() {
  try {
    return await mediaDevices().enumerateDevices();
  } catch (error) {
    throw refused(error);
  }
}

/**
 * @param {MediaTrackConstraints} usual
 * @param {true | MediaTrackConstraints} asked
 */
function filled(usual, asked) {
  return asked === true ? usual : { ...usual, ...asked };
}

/** Pages that are not secure have none. */
function mediaDevices() {
  const devices = globalThis.navigator?.mediaDevices;
  if (!devices) throw unsupported();
  return devices;
}

/** @param {unknown} error */
function refused(error) {
  if (error instanceof DuologueError) return error;
  const name = /** @type {Partial<Error> | null} */ (error)?.name ?? "";
  const code = CODES[name] ?? "media-failed";
  if (code === "media-unsupported") return unsupported(error);
  return new DuologueError(code, SENTENCES[code], { cause: error });
}

/** @param {unknown} [cause] */
export function unsupported(cause) {
  return new DuologueError("media-unsupported", "Calls need a browser with WebRTC, and a page of https.", { cause });
}
