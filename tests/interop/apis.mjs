// Two APIs, `/api` and `/api2`, that know of their callers only what the provider says: they verify a JWT with its published keys,
// and have it introspect any other token.

import { createRemoteJWKSet, jwtVerify } from 'jose';

// How, and how many seconds ago at most, somebody has to have signed in for `/api/step-up`.
export const STRONG = 'urn:interop:acr:strong';
const FRESH = 60;

export function apis({ issuer, client, secret }) {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
  // RFC 6749 §2.3.1: both are form-encoded first.
  const encoded = [client, secret].map((text) => new URLSearchParams({ text }).toString().slice('text='.length));
  const credentials = Buffer.from(encoded.join(':')).toString('base64');

  async function introspect(token) {
    const response = await fetch(`${issuer}/token/introspection`, {
      method: 'POST',
      headers: { authorization: `Basic ${credentials}` },
      body: new URLSearchParams({ token }),
    });
    if (!response.ok) {
      throw new Error(`introspection answers ${response.status}`);
    }
    const claims = await response.json();
    return claims.active ? claims : undefined;
  }

  // The claims of a token that is good at this API. A token without an audience is good at the first.
  async function claimsOf(token, audience) {
    if (token.split('.').length === 3) {
      const verified = jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' });
      return verified.then(({ payload }) => payload, () => undefined);
    }
    const claims = await introspect(token);
    const isMeant = claims?.aud === undefined ? audience.endsWith('/api') : claims.aud === audience;
    return isMeant ? claims : undefined;
  }

  const answer = (response, status, value, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };

  const routes = {
    '/api/scim2/Me': (response, { sub }) =>
      answer(response, 200, {
        schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
        id: sub,
        userName: sub,
        name: { givenName: sub, familyName: 'Archer' },
        emails: [{ value: `${sub}@example.com`, type: 'work', primary: true }],
      }, { 'content-type': 'application/scim+json' }),
    '/api/users/me': (response, { sub }) => answer(response, 200, { id: sub, email: `${sub}@example.com` }),
    '/api/organizations': (response) => answer(response, 200, [{ id: 'org-1', name: 'Interoperable Inc' }]),
    // A token of a client's own has no user: its subject is missing, or is the client (RFC 9068 §2.2).
    '/api/machine': (response, { sub, client_id }) =>
      sub === undefined || sub === client_id
        ? answer(response, 200, { machine: client_id })
        : answer(response, 403, { error: 'for machines only' }),
    '/api/step-up': (response, { acr, auth_time }) =>
      acr === STRONG && Date.now() / 1000 - auth_time <= FRESH
        ? answer(response, 200, { acr })
        : answer(response, 401, { error: 'insufficient_user_authentication' }, {
          'www-authenticate':
            `Bearer error="insufficient_user_authentication", acr_values="${STRONG}", max_age="${FRESH}"`,
        }),
    '/api2/whoami': (response, { sub, aud, client_id, scope }) => answer(response, 200, { sub, aud, client_id, scope }),
  };

  // What was asked, so that it can be compared with what the browser has sent.
  const echo = async (request, response) => {
    const body = [];
    for await (const chunk of request) body.push(chunk);
    answer(response, 200, {
      method: request.method,
      target: request.url,
      body: Buffer.concat(body).toString(),
      cookie: request.headers.cookie ?? null,
    });
  };

  return async (request, response) => {
    const { pathname } = new URL(request.url, issuer);
    const [, token] = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const claims = token && (await claimsOf(token, `${issuer}/${pathname.split('/')[1]}`));
    if (!claims) {
      answer(response, 401, { error: 'invalid_token' }, { 'www-authenticate': 'Bearer error="invalid_token"' });
    } else if (pathname.startsWith('/api/echo/')) {
      await echo(request, response);
    } else if (routes[pathname]) {
      routes[pathname](response, claims);
    } else {
      answer(response, 404, { error: 'not_found' });
    }
  };
}
