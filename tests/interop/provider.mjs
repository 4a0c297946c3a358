// oidc-provider on a free loopback port, with two registered clients and a small API of its own.
//
// Settings come as one JSON value in the environment variable SETTINGS:
//   base_url               the app's public origin; redirect URIs are derived from it
//   access_token_lifetime  seconds
//   key_directory          where the private key of the `assertion-client` is written (PKCS#8 PEM)
//
// `GET /control/app?origin=…` says where the app really listens. `GET /control/events` is what has happened so far.
//
// Prints `listening on ISSUER` when ready and ends when its standard input closes, so that it never outlives the test.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { Provider } from 'oidc-provider';

// Nobody reads on after the first line.
process.stdout.on('error', () => {});

const settings = JSON.parse(process.env.SETTINGS);

function jwk(type, options, extra) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', ...extra };
}

const assertionKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keyFile = join(settings.key_directory, 'assertion-client.pem');
writeFileSync(keyFile, assertionKey.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });

const registration = {
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: [`${settings.base_url}/auth/callback`],
  post_logout_redirect_uris: [`${settings.base_url}/`],
  backchannel_logout_uri: `${settings.base_url}/auth/backchannel-logout`,
};

// Where requests for base_url go.
let app = settings.base_url;

// What has happened: a count per name, and the claims of the logout tokens sent.
const events = { logout_tokens: [] };

const configuration = {
  clients: [
    {
      ...registration,
      client_id: 'secret-client',
      // Characters that mean something in a form, in a URL and in Basic credentials.
      client_secret: 's&cret+1:%25 /=~not-for-the-logs',
      token_endpoint_auth_method: 'client_secret_basic',
      // Its logout tokens name one session. The other client's name the user.
      backchannel_logout_session_required: true,
    },
    {
      ...registration,
      client_id: 'assertion-client',
      token_endpoint_auth_method: 'private_key_jwt',
      id_token_signed_response_alg: 'ES256',
      jwks: { keys: [{ ...assertionKey.publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] },
    },
  ],
  jwks: {
    keys: [jwk('rsa', { modulusLength: 2048 }, { alg: 'RS256' }), jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256' })],
  },
  cookies: { keys: [randomUUID()] },
  claims: {
    openid: ['sub'],
    profile: ['name', 'given_name', 'family_name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  // A certified provider of the strict kind: these claims are to be had from userinfo only.
  conformIdTokenClaims: true,
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    userinfo: { enabled: true },
  },
  // The provider's own guard refuses loopback addresses, which is where the app is.
  async fetch(url, { dispatcher: _guard, ...options }) {
    const token = new URLSearchParams(options.body).get('logout_token');
    if (token) {
      events.logout_tokens.push(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')));
    }
    return fetch(url.replace(settings.base_url, app), options);
  },
  pkce: { required: () => true },
  // Each refresh uses the token up; presenting a used one again ends the whole grant.
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'profile', 'email'],
  ttl: {
    AccessToken: settings.access_token_lifetime,
    AuthorizationCode: 60,
    Grant: 3600,
    IdToken: 3600,
    Interaction: 600,
    RefreshToken: 3600,
    Session: 3600,
  },
  async findAccount(_context, id) {
    return {
      accountId: id,
      claims: async () => ({
        sub: id,
        name: `${id} Archer`,
        given_name: id,
        family_name: 'Archer',
        preferred_username: id,
        email: `${id}@example.com`,
        email_verified: true,
      }),
    };
  },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  for (const name of [
    'access_token.destroyed',
    'authorization.success',
    'backchannel.error',
    'backchannel.success',
    'end_session.success',
    'grant.error',
    'grant.revoked',
    'grant.success',
    'refresh_token.consumed',
    'refresh_token.destroyed',
    'server_error',
  ]) {
    events[name] = 0;
    provider.on(name, () => {
      events[name] += 1;
    });
  }
  provider.on('server_error', (_context, error) => console.error('server_error', error));
  provider.on('backchannel.error', (_context, error) => console.error('backchannel.error', error));
  provider.on('grant.error', (_context, error) => console.error('grant.error', error.error, error.error_detail));

  const answer = (response, status, type, value, headers = {}) => {
    response.writeHead(status, { 'content-type': type, ...headers });
    response.end(JSON.stringify(value));
  };

  // The API asks the provider's own store whether a token is good, since its access tokens are opaque.
  const api = async (request, response) => {
    const [, token] = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const known = token && (await provider.AccessToken.find(token));
    if (!known?.isValid) {
      answer(response, 401, 'application/json', { error: 'invalid_token' }, {
        'www-authenticate': 'Bearer error="invalid_token"',
      });
      return;
    }
    answer(response, 200, 'application/scim+json', {
      schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
      id: known.accountId,
      userName: known.accountId,
      name: { givenName: known.accountId, familyName: 'Archer' },
      emails: [{ value: `${known.accountId}@example.com`, type: 'work', primary: true }],
    });
  };

  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (request.url === '/api/scim2/Me') {
      api(request, response).catch((error) => answer(response, 500, 'application/json', { error: String(error) }));
    } else if (request.url.startsWith('/control/app?')) {
      app = new URL(request.url, issuer).searchParams.get('origin');
      answer(response, 200, 'application/json', { app });
    } else if (request.url === '/control/events') {
      answer(response, 200, 'application/json', events);
    } else {
      handle(request, response);
    }
  });

  console.log(`listening on ${issuer}`);
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
