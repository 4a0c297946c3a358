// @ts-check
// The page: its routes, and what it shows. Values become text, never markup.

import { Forbidden, Offline, SignedOut, Unavailable, call, loginUrl, send, session } from "./auth.js";

/** How long until another try where the network is down, in seconds. */
const OFFLINE_RETRY = 5;

/** Where this tab keeps what was typed and not sent. A sign-in leads away from the page and back to the same tab. */
const DRAFT = "note";

/** @type {Record<string, { title: string, show: (signal: AbortSignal) => Promise<Node[]> }>} */
const routes = {
  "/": { title: "Overview", show: overview },
  "/profile": { title: "Profile", show: profile },
  "/organizations": { title: "Organizations", show: organizations },
  "/note": { title: "Note", show: note },
};

/** Where there is no view. */
const missing = { title: "No such page", show: nothing };

const heading = /** @type {HTMLElement} */ (document.querySelector("h1"));
const content = /** @type {HTMLElement} */ (document.querySelector("#content"));
const status = /** @type {HTMLElement} */ (document.querySelector("#status"));
const signOut = /** @type {HTMLElement} */ (document.querySelector("#sign-out"));

/** Ends the calls, and the wait, of the view that is left. */
let view = new AbortController();

/** Whether the view is being made, so that it is known in a moment whose page it is. */
let isUnderWay = false;

/** How often a session was found to have ended. */
let ends = 0;

/** @type {string | undefined} Whose page it is: that of who is signed in, or nobody's. */
let owner;

async function overview(signal) {
  const { user, session_expires_at } = await who(signal);
  return [
    element("p", { className: "lead" }, `Hello ${user.name ?? user.given_name ?? user.sub}.`),
    facts([
      ["E-mail", user.email],
      ["Signed in until", new Date(session_expires_at * 1000).toLocaleString()],
    ]),
    element(
      "p",
      { className: "quiet" },
      "This page holds no token. It asks its server, and the server asks the API.",
    ),
  ];
}

async function profile(signal) {
  const [, me] = await Promise.all([
    who(signal),
    call("/scim2/Me", { signal, headers: { Accept: "application/scim+json" } }),
  ]);
  const [email] = me.emails ?? [];
  return [
    facts([
      ["User name", me.userName],
      ["Given name", me.name?.givenName],
      ["Family name", me.name?.familyName],
      ["E-mail", email?.value ?? email],
    ]),
  ];
}

async function organizations(signal) {
  const [, me, list] = await Promise.all([
    who(signal),
    call("/users/me", { signal }),
    call("/organizations", { signal }),
  ]);
  return [
    element("p", {}, `What ${me.name} belongs to.`),
    facts(list.map(({ name, members }) => [name, `${members} members`])),
  ];
}

async function note(signal) {
  await who(signal);
  const author = owner;
  const text = /** @type {HTMLTextAreaElement} */ (
    element("textarea", { id: "text", rows: 4, maxLength: 2000, required: true, value: draft(author) })
  );
  const label = element("label", { htmlFor: "text" }, "Your note");
  const form = element("form", {}, label, text, element("button", {}, "Send"));
  let isSending = false;
  text.addEventListener("input", () => keep(author, text.value));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isSending) return;
    isSending = text.readOnly = true;
    say("Sending …", "");
    let isSent = false;
    try {
      // Another tab may have signed out, or in as somebody else: nobody's note is sent in another's name.
      const found = await session(signal);
      if (!found.authenticated) throw nobody();
      if (whose(found.user) !== author) return show();
      isSent = true;
      const answer = await send("POST", "/echo", { text: text.value }, { signal });
      text.value = "";
      keep(author, "");
      say("Sent.", answer?.text ? `The API has got ${answer.text.length} characters.` : "");
    } catch (error) {
      if (!signal.aborted) explainSending(error, isSent, signal);
    } finally {
      isSending = text.readOnly = false;
    }
  });
  return [
    element("p", {}, "What you type stays in this tab until it is sent, also if your session ends in between."),
    form,
  ];
}

/** Nothing here is anybody's, so nobody has to sign in for it. Whose page it is, is shown as everywhere. */
async function nothing(signal) {
  const shown = [element("p", { className: "quiet" }, "Nothing is here.")];
  try {
    await who(signal);
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof SignedOut) {
      forget();
      shown.push(signIn("/"));
    } else {
      // It is as true without the application.
      explain(error, signal);
    }
  }
  return shown;
}

function nobody() {
  return new SignedOut("Nobody is signed in in this browser.", 401, "session.none");
}

/** Who the user is: a subject is one at its issuer only (OpenID Connect Core §2). */
function whose(user) {
  return user && JSON.stringify([user.iss, user.sub]);
}

/** What this user has typed and not sent. Another user's is nobody's business, and goes. */
function draft(author) {
  const { of, text } = JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}");
  if (author !== undefined && of === author) return text;
  sessionStorage.removeItem(DRAFT);
  return "";
}

function keep(author, text) {
  if (text === "") sessionStorage.removeItem(DRAFT);
  else sessionStorage.setItem(DRAFT, JSON.stringify({ of: author, text }));
}

/** From now on it is nobody's page. */
function forget() {
  owner = undefined;
  ends += 1;
  signOut.hidden = true;
}

/** The way to sign in, and to come back here or where it says. */
function signIn(returnTo) {
  const link = element("a", { className: "button", href: loginUrl(returnTo) }, "Sign in");
  return element("p", { id: "sign-in" }, link);
}

/** The session; where there is none, the view ends. */
async function who(signal) {
  const before = ends;
  const found = await session(signal);
  if (!found.authenticated) throw nobody();
  // What was asked beside it may have found the end of the session meanwhile, and knows better.
  if (before === ends) {
    owner = whose(found.user);
    draft(owner);
    signOut.hidden = false;
  }
  return found;
}

/** Shows the view of the present address. */
async function show({ moveFocus = false } = {}) {
  view.abort();
  view = new AbortController();
  const { signal } = view;
  const route = routes[location.pathname];
  const { title, show: make } = route ?? missing;
  document.title = `${title} · Browser app`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  status.replaceChildren();
  heading.textContent = title;
  content.replaceChildren(element("p", { className: "quiet" }, route ? "One moment …" : "Nothing is here."));
  if (moveFocus) heading.focus();
  isUnderWay = true;
  try {
    const shown = await make(signal);
    if (!signal.aborted) content.replaceChildren(...shown);
  } catch (error) {
    if (signal.aborted) return;
    content.replaceChildren();
    explain(error, signal);
  } finally {
    if (!signal.aborted) isUnderWay = false;
  }
}

/** Says what went wrong, and what comes next. */
function explain(error, signal) {
  if (error instanceof SignedOut) {
    say(owner === undefined ? "Please sign in." : "Your session has ended.", error.message);
    forget();
    document.querySelector("#sign-in")?.remove();
    content.append(signIn());
  } else if (error instanceof Unavailable) {
    retry(error.retryAfter, error.message, signal);
  } else if (error instanceof Offline) {
    retry(OFFLINE_RETRY, error.message, signal);
  } else if (error instanceof Forbidden) {
    say("You may not see this.", error.message);
  } else {
    say("That did not work.", error.message);
    content.append(element("p", {}, element("button", { type: "button", onclick: () => show() }, "Try again")));
  }
}

/** The same of what was to be sent, which only the user sends again. What was typed stays where it is. */
function explainSending(error, isSent, signal) {
  if (error instanceof SignedOut) explain(error, signal);
  else if (error instanceof Forbidden) say("You may not do this.", error.message);
  else if (!isSent || error instanceof Unavailable) say("That was not sent.", error.message);
  else if (error.status >= 400 && error.status < 500) say("That was refused.", error.message);
  else say("It may have arrived all the same.", error.message);
}

/** Tries again after so many seconds, unless the user has gone on. */
function retry(seconds, message, signal) {
  say("Not available just now.", `${message} The next try is in ${seconds} s.`);
  const timer = setTimeout(() => show(), seconds * 1000);
  signal.addEventListener("abort", () => clearTimeout(timer));
}

/** A message that screen readers say aloud. */
function say(title, detail) {
  status.replaceChildren(element("p", { className: "notice" }, element("strong", {}, title), ` ${detail}`));
}

/** An element; its children are nodes, or become text. */
function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Names and values, less those without a value. */
function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined && value !== null);
  return element(
    "dl",
    {},
    ...known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, String(value)))),
  );
}

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element && event.target.closest("nav a");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!(link instanceof HTMLAnchorElement) || !isPlain) return;
  event.preventDefault();
  if (link.href !== location.href) history.pushState(null, "", link.href);
  show({ moveFocus: true });
});
addEventListener("popstate", () => show({ moveFocus: true }));
signOut.addEventListener("submit", () => sessionStorage.removeItem(DRAFT));

// Signed out, or in as somebody else, in another tab: found when this one is looked at again, or comes from the back/forward cache.
async function look() {
  if (document.visibilityState !== "visible" || isUnderWay) return;
  const found = await session().catch(() => undefined);
  if (found && whose(found.user) !== owner) show();
}
addEventListener("focus", look);
document.addEventListener("visibilitychange", look);
addEventListener("pageshow", (event) => event.persisted && look());

show();
