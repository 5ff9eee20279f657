/** Languages travel as ISO 639 codes and are shown by their names. */

const CODES = (
  "ar bg bn ca cs da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko lt lv mk ml mr ms " +
  "my nb ne nl pa pl pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur uz vi zh"
).split(" ");

const english = names("en");
const local = names(navigator.language);

/** @param {string} code */
export function languageName(code) {
  return english?.of(code) ?? code;
}

/**
 * The code of what someone typed: a code, or a name in English, in the browser's language or in its own.
 * @param {string} typed
 */
export function languageCode(typed) {
  const wanted = typed.toLocaleLowerCase();
  if (CODES.includes(wanted)) return wanted;
  const called = (/** @type {string | undefined} */ name) => name?.toLocaleLowerCase() === wanted;
  return CODES.find((code) => called(english?.of(code)) || called(local?.of(code)) || called(names(code)?.of(code))) ?? null;
}

/** The person's own languages first, then what many speak. */
export function suggestedLanguages() {
  const own = navigator.languages.map((tag) => tag.split("-")[0] ?? "").filter((code) => CODES.includes(code));
  return [...new Set([...own, "en", "es", "fr", "ar", "hi", "zh"])].slice(0, 6);
}

/** @param {string} locale */
function names(locale) {
  try {
    return new Intl.DisplayNames([locale], { type: "language", fallback: "code" });
  } catch {
    return null;
  }
}
