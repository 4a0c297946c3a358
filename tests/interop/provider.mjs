// oidc-provider on a free loopback port, with registered clients, two small APIs (apis.mjs) and a token exchange (exchange.mjs).
//
// Settings come as one JSON value in the environment variable SETTINGS:
//   base_url               the app's public origin; redirect URIs are derived from it
//   access_token_lifetime  seconds
//   key_directory          where the private key of the `assertion-client` is written (PKCS#8 PEM)
//
// `GET /control/app?origin=…` says where the app really listens, `GET /control/sign-in-age?seconds=…` how long ago who signs in
// from now on has done so. `GET /control/events` is what has happened so far.
//
// Prints `listening on ISSUER` when ready and ends when its standard input closes, so that it never outlives the test.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { errors, Provider } from 'oidc-provider';

import { apis, STRONG } from './apis.mjs';
import { exchange } from './exchange.mjs';

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

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const registration = {
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials', EXCHANGE],
  response_types: ['code'],
  redirect_uris: [`${settings.base_url}/auth/callback`],
  post_logout_redirect_uris: [`${settings.base_url}/`],
  backchannel_logout_uri: `${settings.base_url}/auth/backchannel-logout`,
  // Each ID token says when its user has signed in.
  require_auth_time: true,
};

// Clients that only make requests of their own.
const machine = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };

// Characters that mean something in a form, in a URL and in Basic credentials.
const SECRET = 's&cret+1:%25 /=~not-for-the-logs';

// Where requests for base_url go.
let app = settings.base_url;

// What has happened: a count per name, and the claims of the logout tokens sent.
const events = { logout_tokens: [] };

// Seconds since the sign-in of whoever signs in now.
let signInAge = 0;

// The frames of the page after a sign-out, which end sessions elsewhere: oidc-provider has no front-channel logout of its own.
let frames = [];

// What a token is for: the app as an API, by JWT or not, and the two APIs here.
function resourceServer(issuer, indicator) {
  const jwt = { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
  const known = {
    [settings.base_url]: { scope: 'orders.read', ...jwt },
    [`${settings.base_url}/opaque`]: { scope: 'orders.read', accessTokenFormat: 'opaque' },
    [`${issuer}/api`]: { scope: 'people.read', ...jwt },
    [`${issuer}/api2`]: { scope: 'orders.read', ...jwt },
  };
  if (!known[indicator]) {
    throw new errors.InvalidTarget('nobody knows that API');
  }
  return { ...known[indicator], accessTokenTTL: settings.access_token_lifetime };
}

const configuration = {
  clients: [
    {
      ...registration,
      client_id: 'secret-client',
      client_secret: SECRET,
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
    // It is told of sign-outs by the user's browser alone.
    { ...registration, client_id: 'front-client', client_secret: SECRET, backchannel_logout_uri: undefined },
    // Somebody who calls the app as an API, and the API that asks what a token is.
    { ...machine, client_id: 'caller', client_secret: SECRET },
    { ...machine, client_id: 'api', client_secret: SECRET },
  ],
  jwks: {
    keys: [jwk('rsa', { modulusLength: 2048 }, { alg: 'RS256' }), jwk('ec', { namedCurve: 'P-256' }, { alg: 'ES256' })],
  },
  cookies: { keys: [randomUUID()] },
  acrValues: [STRONG],
  claims: {
    acr: null,
    auth_time: null,
    iss: null,
    openid: ['sub', 'roles'],
    sid: null,
    profile: ['name', 'given_name', 'family_name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  // A certified provider of the strict kind: these claims are to be had from userinfo only.
  conformIdTokenClaims: true,
  features: {
    backchannelLogout: { enabled: true },
    claimsParameter: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (context, indicator) => resourceServer(context.oidc.issuer, indicator),
    },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      postLogoutSuccessSource(context) {
        const html = frames.map((url) => `<iframe src="${url.replaceAll('&', '&amp;')}"></iframe>`);
        context.body = `<!DOCTYPE html><title>Signed out</title>${html.join('')}`;
      },
    },
    userinfo: { enabled: true },
  },
  // When and how the user has signed in, for APIs that ask (RFC 9470 §6).
  extraTokenClaims({ oidc: { entities } }) {
    const source = entities.AuthorizationCode ?? entities.RefreshToken;
    return source && { auth_time: source.authTime, acr: source.acr };
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
  scopes: ['openid', 'offline_access', 'profile', 'email', 'mail.read'],
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
        roles: id === 'ada' ? ['admin'] : undefined,
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

  // Its forms know neither how long ago nor how strongly somebody signs in.
  const finished = provider.interactionFinished.bind(provider);
  provider.interactionFinished = async (request, response, result, options) => {
    if (result.login) {
      const { params } = await provider.interactionDetails(request, response);
      result.login.ts = Math.floor(Date.now() / 1000) - signInAge;
      result.login.acr = params.acr_values?.split(' ')[0];
    }
    await finished(request, response, result, options);
  };

  provider.on('end_session.success', ({ oidc: { session } }) => {
    const sid = session.authorizations?.['front-client']?.sid;
    const query = new URLSearchParams({ iss: issuer, sid });
    frames = sid ? [`${settings.base_url}/auth/frontchannel-logout?${query}`] : [];
  });

  provider.registerGrantType(EXCHANGE, exchange(provider, (indicator) => resourceServer(issuer, indicator)), [
    'subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope',
  ]);

  const api = apis({ issuer, client: 'api', secret: SECRET });
  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (/^\/api2?\//.test(request.url)) {
      api(request, response).catch((error) => answer(response, 500, 'application/json', { error: String(error) }));
    } else if (request.url.startsWith('/control/sign-in-age?')) {
      signInAge = Number(new URL(request.url, issuer).searchParams.get('seconds'));
      answer(response, 200, 'application/json', { signInAge });
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
