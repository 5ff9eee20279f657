/** Reading the API's document: what a schema looks like when it is filled in. Pure. */

/**
 * @typedef {{ $ref?: string, type?: string | string[], properties?: Record<string, Schema>, required?: string[], items?: Schema,
 *   allOf?: Schema[], oneOf?: Schema[], enum?: unknown[], example?: unknown, format?: string, description?: string }} Schema
 * @typedef {{ components?: { schemas?: Record<string, Schema> } }} Document
 */

/**
 * The schema itself, where it is only named.
 * @param {Document} document
 * @param {Schema} schema
 * @returns {Schema}
 */
export function resolve(document, schema) {
  const name = schema.$ref?.replace("#/components/schemas/", "");
  return name === undefined ? schema : resolve(document, document.components?.schemas?.[name] ?? {});
}

/**
 * An example of it: its own where it has one, else one of its kind.
 * @param {Document} document
 * @param {Schema} named
 * @returns {unknown}
 */
export function example(document, named) {
  const schema = resolve(document, named);
  if (schema.example !== undefined) return schema.example;
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => example(document, part)));
  if (schema.oneOf) return example(document, schema.oneOf[0] ?? {});
  if (schema.enum) return schema.enum[0];
  const type = [schema.type].flat()[0];
  if (type === "object") {
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, part]) => [name, example(document, part)]));
  }
  if (type === "array") return schema.items ? [example(document, schema.items)] : [];
  if (type === "integer" || type === "number") return 0;
  if (type === "boolean") return true;
  return type === "string" ? "" : null;
}

/**
 * An answer as people read it: JSON with indents, anything else as it is.
 * @param {string} text
 */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
