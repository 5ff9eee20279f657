/**
 * What the browser keeps. The token lives as long as the tab (sessionStorage: a second window is a second person);
 * the last choice of interests, and whether calls hide the address, live on (localStorage). Nothing of a talk is ever kept.
 */

/**
 * @typedef {{ token: string, user: { id: string, username: string, email?: string, guest?: boolean } }} Login
 * @typedef {{ interests: string[], languages: string[] }} Choice
 * @typedef {{ id: string, muted: boolean, cameraOff: boolean, shown: boolean }} CallChoice `shown`: addresses were told in it
 */

const LOGIN = "duologue.login";
const CHOICE = "duologue.choice";
const RELAY = "duologue.relay";
const CALL = "duologue.call";

/** @returns {Login | null} */
export function loadLogin() {
  const kept = read(() => sessionStorage, LOGIN);
  return typeof kept?.token === "string" && kept.user ? kept : null;
}

/** @param {Login} login */
export function saveLogin(login) {
  write(() => sessionStorage, LOGIN, login);
}

export function forgetLogin() {
  try {
    sessionStorage.removeItem(LOGIN);
  } catch {
    // Storage is refused by the browser: then there is nothing in it.
  }
}

/** @returns {Choice} */
export function loadChoice() {
  const kept = read(() => localStorage, CHOICE);
  return { interests: strings(kept?.interests), languages: strings(kept?.languages) };
}

/** @param {Choice} choice */
export function saveChoice(choice) {
  write(() => localStorage, CHOICE, choice);
}

/** Whether calls shall go over a relay, so that the other side does not learn the address. */
export function loadRelay() {
  return read(() => localStorage, RELAY) === true;
}

/** @param {boolean} on */
export function saveRelay(on) {
  write(() => localStorage, RELAY, on);
}

/**
 * What was off in a call that this page was in before a reload: it must not be on after it. `null`: it was not in it.
 * @param {string} id
 * @returns {CallChoice | null}
 */
export function loadCall(id) {
  const kept = read(() => sessionStorage, CALL);
  return kept?.id === id ? { id, muted: kept.muted === true, cameraOff: kept.cameraOff === true, shown: kept.shown === true } : null;
}

/** @param {CallChoice | null} choice null: there is no call any more */
export function saveCall(choice) {
  write(() => sessionStorage, CALL, choice);
}

/**
 * The storage is asked for inside, because a browser may refuse even to name it.
 * @param {() => Storage} storage
 * @param {string} key
 */
function read(storage, key) {
  try {
    return JSON.parse(storage().getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/**
 * @param {() => Storage} storage
 * @param {string} key
 * @param {unknown} value
 */
function write(storage, key, value) {
  try {
    storage().setItem(key, JSON.stringify(value));
  } catch {
    // A full or refused storage costs a reload its memory, nothing else.
  }
}

/** @param {unknown} value */
function strings(value) {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
