/**
 * @file The shapes that cross the wire, as the server's `src/protocol/event.rs` and `docs/api.md`
 * have them. Types only. Fields the server may add later are passed over.
 */

/** @typedef {"webtransport" | "websocket"} DoorName */

/**
 * One frame. `seq` numbers reliable events; `ack` says that everything up to it arrived.
 * @typedef {{ event: string, data?: object, seq?: number, ack?: number }} Frame
 */

/**
 * A person as others may see them.
 * @typedef {{ id: string, username: string, guest?: boolean }} User
 */

/**
 * Where an address is, in English: `country` is ISO 3166-1.
 * @typedef {{ country: string, countryName?: string, city?: string }} Place
 */

/** @typedef {User & { place?: Place }} Partner a person as their partner sees them */

/** @typedef {{ id?: string, browser: string, platform: string }} Device */

/** @typedef {User & { device?: Device, address?: string, place?: Place }} Myself `address`: truncated */

/**
 * `frame` and `text` in bytes of UTF-8; typing and acknowledgements are not counted as events.
 * @typedef {object} Limits
 * @property {number} frame
 * @property {number} text
 * @property {number} eventsPerMinute
 * @property {number} [fileBytes] of one file or voice note
 * @property {number} [voiceMs] of one voice note
 * @property {number} [transfers] that one side may offer or have under way at once
 * @property {number} [transferWindow] bytes of one that may be on their way
 */

/**
 * The answer to `connection:hello`.
 * @typedef {object} Established
 * @property {string} session
 * @property {string} key
 * @property {boolean} resumed
 * @property {number} received the highest `seq` of ours that the server has
 * @property {"unknown" | "node" | "mismatch" | "expired" | "slow" | "crowded"} [lost] why the session that was asked for does not go on
 * @property {Myself} user
 * @property {Limits} limits
 * @property {number} heartbeatMs
 * @property {number} resumeWindowMs
 * @property {"idle" | "waiting" | "talking"} state
 * @property {Matched} [conversation] that goes on; in a new session too, where a node was lost with the one before
 * @property {{ transfer: string, received: number, acknowledged: number }[]} [transfers] ours that were
 *   accepted: how much of each the server has, and how much of that the partner
 * @property {RTCIceServer[]} [iceServers] for calls
 * @property {number} [iceTtlMs] how long their credentials live; absent: for ever
 * @property {boolean} [relayOnly] in no call of this service does anyone learn the other's address
 */

/**
 * @typedef {object} Closing
 * @property {number} code
 * @property {string} reason
 * @property {string} message
 * @property {boolean} reconnect
 * @property {number} [retryAfterMs]
 */

/** @typedef {{ field: string, code: string, message: string }} FieldError */

/**
 * @typedef {object} Refusal
 * @property {string} code
 * @property {string} message
 * @property {string} [event]
 * @property {string} [id]
 * @property {number} [retryAfterMs]
 * @property {FieldError[]} [details] over HTTP only
 */

/**
 * Whom a person would like to meet. What is absent or empty asks for nothing.
 * @typedef {object} Wish
 * @property {string[]} [interests]
 * @property {string[]} [languages] BCP 47, such as `en` or `pt-BR`
 * @property {string} [region]
 * @property {"text" | "audio" | "video"} [media]
 */

/** @typedef {{ stage: "exact" | "wider" | "anyone", waitedMs: number, widensInMs?: number }} Matching */

/** @typedef {{ conversation: string, matchedUser: Partner, role: "polite" | "impolite", common: string[], status?: Presence, call?: StandingCall }} Matched `status`, `call`: after a reload */

/**
 * The call of a conversation that goes on.
 * @typedef {{ call: string, type: "audio" | "video", mine: boolean, accepted: boolean, relay: boolean, generation: number }} StandingCall
 */

/** @typedef {{ iceServers: RTCIceServer[], ttlMs?: number }} IceRenewed `ttlMs`: as `iceTtlMs` */

/** @typedef {{ conversation: string, reason: "left" | "skipped" | "disconnected" | "blocked" | "ended" }} Unmatched */

/** @typedef {"online" | "reconnecting" | "away"} Presence */

/**
 * `timestamp`: when the server took it, in milliseconds since 1970; `sent`: what the sender said.
 * @typedef {{ id: string, from: string, type: "text" | "file" | "voice", content: string, timestamp: number, sent?: number | string }} IncomingMessage
 */

/** @typedef {{ expiresAt: string }} Renewed RFC 3339 */

/**
 * What `GET /api/connect` answers: where the doors are.
 * @typedef {object} Directions
 * @property {number} protocol
 * @property {{ url: string, serverCertificateHashes?: { algorithm: string, value: string }[] }} [webtransport]
 * @property {{ url: string }} [websocket]
 * @property {string[]} [nodes] origins of nodes that can be asked too
 */

/** @typedef {{ token: string, user: User }} Credentials */

/**
 * The part of the Storage interface that is used.
 * @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} KeyValueStore
 */

/** @typedef {typeof WebSocket} WebSocketClass the browser's, or one of a package in Node */

/** @typedef {typeof WebTransport} WebTransportClass */

export {};
