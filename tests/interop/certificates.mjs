// oidc-provider that knows its clients by their certificates (RFC 8705), binds access tokens to them, and encrypts what it signs
// for the client's key (RFC 7516). It speaks http, and https on a second port, where it asks for certificates.
//
// Settings come as one JSON value in the environment variable SETTINGS:
//   base_url         the app's public origin; redirect URI and `jwks_uri` are derived from it
//   method           how the client authenticates: `tls_client_auth`, for the subject CN=app, or `self_signed_tls_client_auth`
//   alg, enc         how ID tokens, userinfo and authorization responses are encrypted
//   certificate, key what the server shows; PEM
//   authority        who has signed the clients' certificates; PEM
//
// `GET /control/app?origin=…` says where the app really listens. `GET /control/events` is what has happened so far.
//
// Prints `listening on ISSUER and HTTPS-ORIGIN` when ready and ends when its standard input closes.

import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import { Provider } from 'oidc-provider';

// Nobody reads on after the first line.
process.stdout.on('error', () => {});

const settings = JSON.parse(process.env.SETTINGS);

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };

// Where requests for base_url go.
let app = settings.base_url;

// What has happened: a count per name, what access tokens were bound to, and how often the API was called with the right certificate.
const events = { access_tokens: [], api_bound: 0, api_unbound: 0 };

const certificate = (socket) => socket.getPeerX509Certificate?.();
const bound = new Map();

const configuration = (tls) => ({
  clients: [
    {
      client_id: 'certified-client',
      token_endpoint_auth_method: settings.method,
      ...(settings.method === 'tls_client_auth' ? { tls_client_auth_subject_dn: 'CN=app' } : {}),
      tls_client_certificate_bound_access_tokens: true,
      jwks_uri: `${settings.base_url}/auth/jwks`,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [`${settings.base_url}/auth/callback`],
      id_token_signed_response_alg: 'ES256',
      id_token_encrypted_response_alg: settings.alg,
      id_token_encrypted_response_enc: settings.enc,
      userinfo_signed_response_alg: 'ES256',
      userinfo_encrypted_response_alg: settings.alg,
      userinfo_encrypted_response_enc: settings.enc,
      authorization_signed_response_alg: 'ES256',
      authorization_encrypted_response_alg: settings.alg,
      authorization_encrypted_response_enc: settings.enc,
    },
  ],
  jwks: { keys: [key] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: true,
  clientAuthMethods: ['tls_client_auth', 'self_signed_tls_client_auth'],
  enabledJWA: {
    authorizationSigningAlgValues: ['ES256'],
    idTokenSigningAlgValues: ['ES256'],
    userinfoSigningAlgValues: ['ES256'],
    ...Object.fromEntries(
      ['authorization', 'idToken', 'userinfo'].flatMap((what) => [
        [`${what}EncryptionAlgValues`, [settings.alg]],
        [`${what}EncryptionEncValues`, [settings.enc]],
      ]),
    ),
  },
  discovery: {
    mtls_endpoint_aliases: { token_endpoint: `${tls}/token`, userinfo_endpoint: `${tls}/me` },
  },
  features: {
    devInteractions: { enabled: true },
    encryption: { enabled: true },
    jwtResponseModes: { enabled: true },
    jwtUserinfo: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
      getCertificate: (context) => certificate(context.socket),
      certificateAuthorized: (context) => context.socket.authorized,
      certificateSubjectMatches: (context, _property, expected) => certificate(context.socket).subject === expected,
    },
  },
  // The provider's own guard refuses loopback addresses, which is where the app is.
  async fetch(url, { dispatcher: _guard, ...options }) {
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
    RefreshToken: 3600,
    Session: 3600,
  },
  async findAccount(_context, id) {
    return { accountId: id, claims: async () => ({ sub: id, email: `${id}@example.com`, email_verified: true }) };
  },
});

const server = createServer();
const tlsServer = createTlsServer({
  cert: settings.certificate,
  key: settings.key,
  ca: settings.authority,
  requestCert: true,
  rejectUnauthorized: false,
});
const listens = (one) => new Promise((done) => one.listen(0, '127.0.0.1', () => done(one.address().port)));
const issuer = `http://127.0.0.1:${await listens(server)}`;
const tls = `https://127.0.0.1:${await listens(tlsServer)}`;

const provider = new Provider(issuer, configuration(tls));
for (const name of ['authorization.error', 'authorization.success', 'grant.error', 'refresh_token.consumed', 'server_error', 'userinfo.error']) {
  events[name] = 0;
  provider.on(name, () => {
    events[name] += 1;
  });
}
for (const name of ['authorization.error', 'grant.error', 'server_error', 'userinfo.error']) {
  provider.on(name, (_context, error) => console.error(name, error));
}
provider.on('access_token.saved', (token) => {
  events.access_tokens.push(token['x5t#S256'] ?? null);
  bound.set(token.jti, token['x5t#S256']);
});

const answer = (response, status, value) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
};
const handle = provider.callback();
server.on('request', (request, response) => {
  if (request.url.startsWith('/control/app?')) {
    app = new URL(request.url, issuer).searchParams.get('origin');
    answer(response, 200, { app });
  } else if (request.url === '/control/events') {
    answer(response, 200, events);
  } else {
    handle(request, response);
  }
});
tlsServer.on('request', (request, response) => {
  if (request.url !== '/api/scim2/Me') {
    handle(request, response);
    return;
  }
  // An opaque token begins with its `jti`, which is all of it here.
  const token = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const raw = certificate(request.socket)?.raw;
  const thumbprint = raw && createHash('sha256').update(raw).digest('base64url');
  const isBound = thumbprint !== undefined && bound.get(token) === thumbprint;
  events[isBound ? 'api_bound' : 'api_unbound'] += 1;
  answer(response, isBound ? 200 : 401, { userName: 'whoever' });
});

console.log(`listening on ${issuer} and ${tls}`);

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
