/** What a platform has, for one test. */

/**
 * Sets these globals until the test is over.
 * @param {import("node:test").TestContext} t
 * @param {Record<string, unknown>} globals
 */
export function setGlobals(t, globals) {
  const before = Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  t.after(() => {
    for (const [name, descriptor] of before) {
      delete globalThis[name];
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
    }
  });
}
