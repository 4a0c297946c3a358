// oidc-provider that takes signed and pushed requests only, and signs its responses: one client, which authenticates with
// assertions and whose public keys are fetched from the app.
//
// Settings come as one JSON value in the environment variable SETTINGS:
//   base_url         the app's public origin; redirect URI and `jwks_uri` are derived from it
//   require_pushed   whether discovery demands pushed authorization requests (RFC 9126)
//   fapi             whether the rules of the FAPI 2.0 profile hold, and tokens are bound to keys (RFC 9449), with nonces
//
// `GET /control/app?origin=…` says where the app really listens. `GET /control/events` is what has happened so far.
//
// Prints `listening on ISSUER` when ready and ends when its standard input closes, so that it never outlives the test.

import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

// Nobody reads on after the first line.
process.stdout.on('error', () => {});

const settings = JSON.parse(process.env.SETTINGS);

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };

// Where requests for base_url go.
let app = settings.base_url;

// What has happened: a count per name, how often the client's keys were fetched, and what access tokens were issued for.
const events = { jwks_fetched: 0, access_tokens: [], api_nonces: 0 };

const configuration = {
  clients: [
    {
      client_id: 'signed-client',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: `${settings.base_url}/auth/jwks`,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [`${settings.base_url}/auth/callback`],
      id_token_signed_response_alg: 'ES256',
      request_object_signing_alg: 'ES256',
      authorization_signed_response_alg: 'ES256',
      authorization_details_types: ['account'],
      dpop_bound_access_tokens: settings.fapi,
    },
  ],
  jwks: { keys: [key] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  enabledJWA: {
    authorizationSigningAlgValues: ['ES256'],
    clientAuthSigningAlgValues: ['ES256'],
    idTokenSigningAlgValues: ['ES256'],
    requestObjectSigningAlgValues: ['ES256'],
  },
  features: {
    claimsParameter: { enabled: true },
    devInteractions: { enabled: true },
    dPoP: settings.fapi
      ? { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true }
      : { enabled: false },
    ...(settings.fapi ? { fapi: { enabled: true, profile: '2.0' } } : {}),
    jwtResponseModes: { enabled: true },
    pushedAuthorizationRequests: {
      enabled: true,
      requirePushedAuthorizationRequests: settings.require_pushed,
    },
    requestObjects: { enabled: true, requireSignedRequestObject: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({ audience: resource, scope: 'openid email offline_access' }),
      useGrantedResource: () => true,
    },
    richAuthorizationRequests: {
      enabled: true,
      types: { account: { validate() {} } },
      authorizationDetailsForGrantSource: (context) => JSON.parse(context.oidc.params.authorization_details),
      authorizationDetailsForAccessToken: (_context, _token, source) => source.rar,
      authorizationDetailsForIntrospection: (_context, token) => token.rar,
    },
  },
  // The provider's own guard refuses loopback addresses, which is where the app is.
  async fetch(url, { dispatcher: _guard, ...options }) {
    events.jwks_fetched += 1;
    return fetch(String(url).replace(settings.base_url, app), options);
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'email'],
  ttl: {
    AccessToken: 3,
    AuthorizationCode: 60,
    Grant: 3600,
    IdToken: 3600,
    Interaction: 600,
    PushedAuthorizationRequest: 60,
    RefreshToken: 3600,
    Session: 3600,
  },
  async findAccount(_context, id) {
    return { accountId: id, claims: async () => ({ sub: id, email: `${id}@example.com`, email_verified: true }) };
  },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  for (const name of [
    'authorization.error',
    'authorization.success',
    'grant.error',
    'pushed_authorization_request.error',
    'pushed_authorization_request.success',
    'refresh_token.consumed',
    'server_error',
  ]) {
    events[name] = 0;
    provider.on(name, () => {
      events[name] += 1;
    });
  }
  for (const name of ['authorization.error', 'grant.error', 'pushed_authorization_request.error', 'server_error']) {
    provider.on(name, (_context, error) => console.error(name, error));
  }
  provider.on('access_token.saved', (token) => {
    events.access_tokens.push({ audience: token.aud, details: token.rar, jkt: token.jkt });
  });

  const answer = (response, value) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  const claims = (proof) => JSON.parse(Buffer.from((proof ?? '..').split('.')[1] || 'e30', 'base64url'));
  // An API that lets everybody in who has any token: what is tested is how the tokens were asked for. With FAPI, each proof
  // needs the nonce of the answer before.
  let nonce = randomUUID();
  const handle = provider.callback();
  server.on('request', (request, response) => {
    if (request.url === '/api/scim2/Me') {
      const scheme = settings.fapi ? /^DPoP .+$/ : /^Bearer .+$/i;
      if (settings.fapi) {
        const known = claims(request.headers.dpop).nonce === nonce;
        nonce = randomUUID();
        response.setHeader('dpop-nonce', nonce);
        if (!known) {
          events.api_nonces += 1;
          response.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce", algs="ES256"' });
          response.end();
          return;
        }
      }
      answer(response, { userName: 'whoever', authorized: scheme.test(request.headers.authorization ?? '') });
    } else if (request.url.startsWith('/control/app?')) {
      app = new URL(request.url, issuer).searchParams.get('origin');
      answer(response, { app });
    } else if (request.url === '/control/events') {
      answer(response, events);
    } else {
      handle(request, response);
    }
  });

  console.log(`listening on ${issuer}`);
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
