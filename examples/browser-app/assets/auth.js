// @ts-check
/**
 * Sign-in for a page's own script, without a token in the browser: the session is a cookie that scripts cannot read, and the app's
 * server puts the access token on the calls that it passes on to the API.
 *
 * Copy this file. Nothing in it knows of a framework, and nothing has to be built.
 */

/** Where the server has its sign-in, and its proxy to the API. */
const SESSION = "/auth/session";
const LOGIN = "/auth/login";
const API = "/proxy/api";

/** Seconds until another try where the server names none. */
const RETRY_AFTER = 5;

/** At most so many seconds, whatever the server or the API says. */
const RETRY_MAX = 300;

/**
 * What `GET /auth/session` says.
 *
 * @typedef {object} Session
 * @property {boolean} authenticated whether somebody is signed in; without that, nothing else is there
 * @property {Record<string, unknown>} [user] the user's claims, such as `sub`, `name` and `email`
 * @property {string[]} [scopes] what was granted
 * @property {number | null} [access_token_expires_at] Unix seconds; the server renews the token by itself
 * @property {number} [session_expires_at] Unix seconds
 */

/** A call that failed. The message is for people, in plain words. */
export class CallError extends Error {
  /**
   * @param {string} message
   * @param {number} status the HTTP status; 0 where there was no answer
   * @param {string} [code] the server's code for the failure, such as `session.ended`
   */
  constructor(message, status, code) {
    super(message);
    this.name = new.target.name;
    this.status = status;
    this.code = code;
  }
}

/** Nobody is signed in any more (401): offer {@link loginUrl}. */
export class SignedOut extends CallError {}

/** The user may not do that (403), or the request lacked `X-CSRF`. Trying again does not help. */
export class Forbidden extends CallError {}

/** There was no answer: the network or the server is down. */
export class Offline extends CallError {}

/** The server cannot do it just now (503). Nobody is signed out: try again after `retryAfter` seconds. */
export class Unavailable extends CallError {
  /** @param {string} message @param {number} retryAfter seconds @param {string} [code] */
  constructor(message, retryAfter, code) {
    super(message, 503, code);
    this.retryAfter = retryAfter;
  }
}

/**
 * Who is signed in. It never fails because nobody is, and never waits for the provider.
 *
 * @param {AbortSignal} [signal]
 * @returns {Promise<Session>}
 * @throws {CallError}
 */
export async function session(signal) {
  return json(await ask(SESSION, { signal }));
}

/**
 * Calls the API as the signed-in user, and reads its JSON.
 *
 * @param {string} path of the API, with its query: `/scim2/Me`
 * @param {RequestInit} [init] as of `fetch`
 * @returns {Promise<any>} `undefined` for an answer without content (204)
 * @throws {CallError} an `AbortError` where `init.signal` ended the call
 */
export async function call(path, init = {}) {
  const headers = new Headers(init.headers);
  // No other site can send it, so a call that brings it comes from this one.
  headers.set("X-CSRF", "1");
  if (!headers.has("Accept")) headers.set("Accept", "application/json");
  return json(await ask(API + path, { ...init, headers }));
}

/**
 * Sends JSON to the API as the signed-in user, and reads its JSON. It is sent once: where there is no answer, nobody knows whether it
 * has arrived.
 *
 * @param {string} method `POST`, `PUT`, `PATCH`
 * @param {string} path as of {@link call}
 * @param {unknown} value what becomes JSON
 * @param {RequestInit} [init] as of {@link call}
 * @returns {Promise<any>}
 * @throws {CallError} as {@link call}
 */
export async function send(method, path, value, init = {}) {
  const headers = new Headers(init.headers);
  if (!headers.has("Content-Type")) headers.set("Content-Type", "application/json");
  return call(path, { ...init, method, headers, body: JSON.stringify(value) });
}

/**
 * Where to sign in, to come back to a page of this app.
 *
 * @param {string} [returnTo] path, query and fragment; the present ones where it is left out
 * @returns {string}
 */
export function loginUrl(returnTo = location.pathname + location.search + location.hash) {
  return `${LOGIN}?return_to=${encodeURIComponent(returnTo)}`;
}

/** @param {string} url @param {RequestInit} init @returns {Promise<Response>} */
async function ask(url, init) {
  let answer;
  try {
    answer = await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Offline("There is no answer. Check the connection.", 0);
  }
  if (!answer.ok) throw await failure(answer);
  return answer;
}

/** @param {Response} answer @returns {Promise<CallError>} */
async function failure(answer) {
  const { status, headers } = answer;
  const isProblem = headers.get("Content-Type")?.startsWith("application/problem+json");
  /** @type {{ title?: string, detail?: string, code?: string }} RFC 9457, and the code */
  const problem = isProblem ? ((await answer.json().catch(() => null)) ?? {}) : {};
  const message = problem.detail ?? problem.title ?? `The server answered ${status}.`;
  // An API may answer 401 too. The app's own says whose it is by its code.
  if (status === 401 && String(problem.code).startsWith("session.")) return new SignedOut(message, status, problem.code);
  if (status === 403) return new Forbidden(message, status, problem.code);
  if (status === 503) {
    const seconds = Number.parseInt(headers.get("Retry-After") ?? "", 10);
    return new Unavailable(message, Math.min(Math.max(seconds || RETRY_AFTER, 1), RETRY_MAX), problem.code);
  }
  return new CallError(message, status, problem.code);
}

/** @param {Response} answer @returns {Promise<any>} */
async function json(answer) {
  if (answer.status === 204) return undefined;
  try {
    return await answer.json();
  } catch (error) {
    if (error instanceof SyntaxError) throw new CallError("The answer is not JSON.", answer.status);
    if (error instanceof TypeError) throw new Offline("The answer broke off.", 0);
    throw error;
  }
}
